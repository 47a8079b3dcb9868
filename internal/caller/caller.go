// Package caller proves to a worker who asks it for something, and what he may do.
//
// A caller has a claim: a JWT (RFC 7519) of an issuer that the worker trusts. It names him, his merchants and his roles, and the key with
// which he signs (RFC 7800, as DPoP uses it in RFC 9449). He signs each request with that key. Claim and signature travel in a header of
// Temporal, and stay in histories; neither is a credential: the claim is worth nothing without the key, and the signature is for one
// request only, for a short time.
//
// Package authorize is the worker's side: it verifies proofs, and decides.
package caller

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/florinpay/florin/payment"
)

// Role is what a caller may do with the payments of his merchants.
type Role string

// The roles.
const (
	// Service charges, refunds, captures and voids, submits and controls batches, and reads.
	Service Role = "service"
	// Operator captures and voids, resolves unknown outcomes, acknowledges divergences, controls processors and batches, and reads.
	Operator Role = "operator"
	// Reader reads.
	Reader Role = "reader"
)

// AllMerchants is the merchant of a claim that is valid for every merchant.
const AllMerchants = "*"

// Identity is who a caller is.
type Identity struct {
	// Subject is his name: 1 to 80 printable ASCII characters.
	Subject   string
	Merchants []string
	Roles     []Role
}

// ActsFor reports whether the caller may act for the merchant. An empty merchant means all of them.
func (i Identity) ActsFor(merchantID string) bool {
	return slices.Contains(i.Merchants, AllMerchants) || merchantID != "" && slices.Contains(i.Merchants, merchantID)
}

// Request is what is asked for.
type Request struct {
	// Kind is one of the constants below, Name the type of the workflow or activity, or the name of the update or query.
	Kind, Name string
	// WorkflowID is that of the workflow. It is empty for a read.
	WorkflowID string
	// UpdateID is that of the update; empty for anything else.
	UpdateID string
	// Args are the arguments. Arguments at the end that are empty objects in JSON may be left out. A signal has none here: the workflows
	// do not read its argument.
	Args []any
}

// The kinds of requests.
const (
	Start  = "start"
	Update = "update"
	Query  = "query"
	Signal = "signal"
	Read   = "read"
)

// Operation names the request in errors, logs and metrics.
func (r Request) Operation() string { return r.Kind + " " + r.Name }

// Operations are all that callers can ask Florin for.
var Operations = []string{
	Start + " " + payment.WorkflowCharge,
	Start + " " + payment.WorkflowRefund,
	Update + " " + payment.UpdateOutcome,
	Update + " " + payment.UpdateCapture,
	Update + " " + payment.UpdateVoid,
	Update + " " + payment.UpdateResolve,
	Query + " " + payment.QueryStatus,
	Signal + " " + payment.SignalProcessorEvent,
	Read + " " + payment.ActivityGetPayment,
	Read + " " + payment.ActivityGetRefund,
	Read + " " + payment.ActivityGetIdentity,
	Read + " " + payment.ActivityAskProcessor,
	Read + " " + payment.ActivityListPayments,
	Read + " " + payment.ActivityListRefunds,
	Read + " " + payment.ActivityListDivergences,
	Read + " " + payment.ActivityAcknowledgeDivergence,
	Read + " " + payment.ActivityControlProcessor,
	Read + " " + payment.ActivityListProcessors,
	Read + " " + payment.ActivityListReconciliations,
	Read + " " + payment.ActivityAddBatchLines,
	Read + " " + payment.ActivityGetBatch,
	Read + " " + payment.ActivityListBatchLines,
	Read + " " + payment.ActivityControlBatch,
}

// isOfFlorin reports whether Florin's workers handle the request.
func (r Request) isOfFlorin() bool { return slices.Contains(Operations, r.Operation()) }

// Digest is the SHA-256 of the request, in base64url without padding. What is hashed is a JSON array in the canonical form of RFC 8785, in
// which integers keep all their digits: kind, name, workflow ID and update ID, followed by the arguments.
func (r Request) Digest() (string, error) {
	values := []any{r.Kind, r.Name, r.WorkflowID, r.UpdateID}
	values = append(values, r.Args...)
	text := jsontext.Value("[]")
	for ; ; values = values[:len(values)-1] {
		encoded, err := json.Marshal(values)
		if err != nil {
			return "", fmt.Errorf("encoding the request: %w", err)
		}
		if text = encoded; len(values) <= 4 || !strings.HasSuffix(string(encoded), ",{}]") {
			break
		}
	}
	if err := text.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		return "", fmt.Errorf("encoding the request: %w", err)
	}
	sum := sha256.Sum256(text)
	return encode(sum[:]), nil
}

// Proof is what the header of a request contains.
type Proof struct {
	// Claim is the JWT of the issuer, Signature a JWT of the caller's.
	Claim     string `json:"claim"`
	Signature string `json:"signature"`
	// Processor is set in the proof of Florin's own endpoint for webhooks, which has no claim: it signs the signal about an event with the
	// webhook secrets of this processor, see [WithProof].
	Processor string `json:"processor,omitempty"`
}

// The names of the headers. UpdateHeader is that of an update which is sent together with a start: Temporal sends one header with both.
const (
	Header       = "florin-caller"
	UpdateHeader = Header + "-update"
)

// Claims are those of the claim, besides the registered ones.
type Claims struct {
	Merchants []string     `json:"florin_merchants"`
	Roles     []Role       `json:"florin_roles"`
	Confirm   Confirmation `json:"cnf"`
}

// Confirmation names the caller's key by its thumbprint (RFC 7638), as in RFC 9449, section 6.1.
type Confirmation struct {
	Thumbprint string `json:"jkt"`
}

// Signed are the claims of the signature.
type Signed struct {
	IssuedAt int64 `json:"iat"`
	// ClaimHash is the SHA-256 of the claim, Request the digest of the request; both in base64url without padding.
	ClaimHash string `json:"ath"`
	Request   string `json:"req"`
}

// SignatureType is the type in the header of the signature, so that a signature for another purpose is none for a request.
const SignatureType = "florin-request+jwt"

// Hash is the SHA-256 of a claim, as [Signed] has it.
func Hash(claim string) string {
	sum := sha256.Sum256([]byte(claim))
	return encode(sum[:])
}

func encode(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum) }
