package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"
)

// requestKey is what the secrets are turned into another key with. So a signature of a request is none of an event, and a client that sees
// it in a history cannot send it to the endpoint.
const requestKey = "florin request"

// SignRequest signs the digest of a request that the endpoint makes, with each of the secrets: a worker that knows only the old or only the
// new one can verify it.
func (v *Verifier) SignRequest(digest string, at time.Time) string {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	header := "t=" + timestamp
	for _, mac := range v.macs {
		header += ",v1=" + hex.EncodeToString(sum(newRequestMAC(mac), timestamp, []byte(digest)))
	}
	return header
}

// VerifyRequest returns nil if [Verifier.SignRequest] has signed the digest with one of the secrets, at a time within the tolerance around at.
func (v *Verifier) VerifyRequest(signature, digest string, at time.Time) error {
	claim, err := check(signature, v.tolerance, at)
	if err != nil {
		return err
	}
	return v.match(claim, []byte(digest), newRequestMAC)
}

func newRequestMAC(mac func() hash.Hash) hash.Hash {
	derive := mac()
	derive.Write([]byte(requestKey))
	return hmac.New(sha256.New, derive.Sum(nil))
}
