package payment

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// BatchState is where a batch is.
type BatchState string

// The states of a [Batch].
const (
	// BatchReceiving means that lines are handed over. None is started before all are there.
	BatchReceiving BatchState = "receiving"
	// BatchRunning means that lines are started.
	BatchRunning BatchState = "running"
	// BatchPaused means that no line is started until the batch is resumed. Those that were started go on.
	BatchPaused BatchState = "paused"
	// BatchCanceled means that no further line will ever be started. Those that were started go on.
	BatchCanceled BatchState = "canceled"
	// BatchCompleted means that every line has ended.
	BatchCompleted BatchState = "completed"
)

// The statuses of a [BatchLine], besides the [Status] with which its payment or refund has ended. [Authorized] ends a line, too.
const (
	// LineWaiting means that the line is not started.
	LineWaiting Status = "waiting"
	// LineOpen means that the line is started, and that its outcome is not known yet.
	LineOpen Status = "open"
	// LineRefused means that the payment or refund was refused before it began: nothing was sent to a processor.
	LineRefused Status = "refused"
)

// LineStatuses are all statuses of a line.
var LineStatuses = []Status{
	LineWaiting, LineOpen, Succeeded, Authorized, Declined, Failed, Voided, Expired, Conflicted, LineRefused,
}

// EndsLine reports whether a payment or refund with this status has the outcome with which its line ends.
func (s Status) EndsLine() bool { return s.Final() || s == Authorized }

// Limits of a batch.
const (
	// MaxBatchLines is how many lines a batch may have.
	MaxBatchLines = 100_000_000
	// MaxChunkLines is how many lines are handed over at once.
	MaxChunkLines = 500
	// MaxBatchInFlight is how many lines of a batch may be in flight.
	MaxBatchInFlight = 1000
	// MinBatchRate is the lowest rate of a batch that has one, in lines per second.
	MinBatchRate = 0.01
	// DefaultBatchInFlight is how many are, unless the caller chooses another number.
	DefaultBatchInFlight = 50
	// MaxBatchName is the longest name of a batch, in characters.
	MaxBatchName = 64

	maxContentHash = 64
)

// Batch is many charges and refunds that are executed one by one, each under its own idempotency key, as if a caller had requested it: a
// batch only decides when each is started. It is the result of the workflow [WorkflowBatch] and of the reads.
type Batch struct {
	// Name is 1 to 64 of A-Z a-z 0-9 . _ -
	Name string `json:"name"`
	// ContentHash is the SHA-256 of the file and of what its amounts mean, in hexadecimal digits. Another file needs another name.
	ContentHash string     `json:"content_hash"`
	State       BatchState `json:"state"`
	// PerSecond is how many lines are started in a second at most, from [MinBatchRate] on; 0: as many as InFlight allows.
	PerSecond float64 `json:"per_second,omitempty"`
	// InFlight is how many lines without an outcome may be in flight. A line that has waited for its outcome for some seconds after its
	// processor has responded no longer counts.
	InFlight int `json:"in_flight"`
	// By, Reason and At describe the latest change of State, PerSecond or InFlight by a caller. Revision counts these changes.
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Revision int64     `json:"revision"`
	// Lines is the number of lines of the file. Received is how many of them were handed over, and LastLine the number of the last of these.
	Lines    int64 `json:"lines"`
	Received int64 `json:"received"`
	LastLine int64 `json:"last_line"`
	// Waiting, Open and the rest count the lines with these statuses. Failed includes [Voided] and [Expired].
	Waiting    int64 `json:"waiting"`
	Open       int64 `json:"open"`
	Succeeded  int64 `json:"succeeded"`
	Authorized int64 `json:"authorized"`
	Declined   int64 `json:"declined"`
	Failed     int64 `json:"failed"`
	Conflicted int64 `json:"conflicted"`
	Refused    int64 `json:"refused"`
	// CreatedBy is the caller who handed the lines over. It is empty if callers do not have to prove who they are.
	CreatedBy string    `json:"created_by,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// StartedAt is when all lines had been handed over, FinishedAt when the last one ended. A canceled batch has finished once every line
	// that was started has ended.
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

// Ended returns how many lines have ended.
func (b Batch) Ended() int64 {
	return b.Succeeded + b.Authorized + b.Declined + b.Failed + b.Conflicted + b.Refused
}

// Finished reports whether nothing of the batch will change any more.
func (b Batch) Finished() bool { return !b.FinishedAt.IsZero() }

// BatchRequest is the input of the workflow [WorkflowBatch]. Everything else about the batch is in the store.
type BatchRequest struct {
	Name string `json:"name"`
}

// BatchLine is one charge or refund of a batch. Exactly one of Charge and Refund is set.
type BatchLine struct {
	// Line is the number of the line in the file, which begins with 1.
	Line   int64          `json:"line"`
	Charge *ChargeRequest `json:"charge,omitempty"`
	Refund *RefundRequest `json:"refund,omitempty"`
}

// Operation returns [OperationCharge] or [OperationRefund].
func (l BatchLine) Operation() Operation {
	if l.Refund != nil {
		return OperationRefund
	}
	return OperationCharge
}

// MerchantID returns the merchant of the charge or refund.
func (l BatchLine) MerchantID() string {
	if l.Refund != nil {
		return l.Refund.MerchantID
	}
	return l.Charge.MerchantID
}

// IdempotencyKey returns the idempotency key of the charge or refund.
func (l BatchLine) IdempotencyKey() string {
	if l.Refund != nil {
		return l.Refund.IdempotencyKey
	}
	return l.Charge.IdempotencyKey
}

// ID returns the [PaymentID] or [RefundID].
func (l BatchLine) ID() string {
	if l.Refund != nil {
		return RefundID(l.Refund.MerchantID, l.Refund.IdempotencyKey)
	}
	return PaymentID(l.Charge.MerchantID, l.Charge.IdempotencyKey)
}

// Fingerprint returns that of the charge or refund.
func (l BatchLine) Fingerprint() string {
	if l.Refund != nil {
		return l.Refund.Fingerprint()
	}
	return l.Charge.Fingerprint()
}

// Validate checks the request of the line, as [ChargeRequest.Validate] does.
func (l BatchLine) Validate() error {
	switch {
	case (l.Charge == nil) == (l.Refund == nil):
		return &InvalidRequestError{[]FieldError{{"operation", "want either a charge or a refund"}}}
	case l.Refund != nil:
		return l.Refund.Validate()
	default:
		return l.Charge.Validate()
	}
}

// BatchChunk is the argument of [ActivityAddBatchLines]: some lines of a batch, which exists from its first chunk on.
type BatchChunk struct {
	// Name, ContentHash, Lines, InFlight and PerSecond are those of the [Batch]. The last two count in the first chunk only; an InFlight of
	// 0 means [DefaultBatchInFlight].
	Name        string  `json:"name"`
	ContentHash string  `json:"content_hash"`
	Lines       int64   `json:"lines"`
	InFlight    int     `json:"in_flight,omitempty"`
	PerSecond   float64 `json:"per_second,omitempty"`
	// Chunk are the next lines in the order of the file, at most [MaxChunkLines]. It may be empty: then the batch is only read, or created.
	Chunk []BatchLine `json:"chunk,omitempty"`
	// Complete says that this is the last chunk: the batch starts if it has as many lines as Lines.
	Complete bool `json:"complete,omitempty"`
}

// Validate returns nil or an [*InvalidRequestError] that lists every invalid field. The field of a line is named after the line, such
// as "lines.17.amount".
func (c BatchChunk) Validate() error {
	var v validator
	v.batch(c.Name)
	if len(c.ContentHash) != maxContentHash || !isHex(c.ContentHash) {
		v.add("content_hash", "want the SHA-256 of the file: %d hexadecimal digits in lower case", maxContentHash)
	}
	if c.Lines < 1 || c.Lines > MaxBatchLines {
		v.add("lines", "%d: want 1 to %d", c.Lines, MaxBatchLines)
	}
	if c.InFlight != 0 {
		v.inFlight(c.InFlight)
	}
	v.perSecond(c.PerSecond)
	if len(c.Chunk) > MaxChunkLines {
		v.add("chunk", "has %d lines: want at most %d", len(c.Chunk), MaxChunkLines)
		return v.err()
	}
	var last int64
	for _, l := range c.Chunk {
		field := "lines." + strconv.FormatInt(l.Line, 10)
		if l.Line <= last {
			v.add(field, "comes after line %d: want the lines in the order of the file, from 1 on", last)
		}
		last = l.Line
		if invalid, ok := l.Validate().(*InvalidRequestError); ok { //nolint:errorlint // Validate returns nothing else
			for _, f := range invalid.Fields {
				v.fields = append(v.fields, FieldError{field + "." + f.Field, f.Problem})
			}
		}
	}
	return v.err()
}

// BatchAction is what a caller does with a batch.
type BatchAction string

// The actions of a [BatchChange].
const (
	// BatchPause stops the start of lines until [BatchResume].
	BatchPause BatchAction = "pause"
	// BatchResume ends a pause.
	BatchResume BatchAction = "resume"
	// BatchCancel stops the start of lines forever.
	BatchCancel BatchAction = "cancel"
	// BatchRate sets PerSecond, InFlight or both.
	BatchRate BatchAction = "rate"
)

// BatchActions are all actions.
var BatchActions = []BatchAction{BatchPause, BatchResume, BatchCancel, BatchRate}

// BatchChange is the argument of [ActivityControlBatch].
type BatchChange struct {
	Name   string      `json:"name"`
	Action BatchAction `json:"action"`
	// PerSecond and InFlight are for [BatchRate] only. Nil and 0 change nothing; a PerSecond of 0 is no limit.
	PerSecond *float64 `json:"per_second,omitempty"`
	InFlight  int      `json:"in_flight,omitempty"`
	// By identifies the caller, as [Resolution.By]. Reason is why: 1 to 500 bytes. Both are kept forever.
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Validate returns nil or an [*InvalidRequestError] that lists every invalid field. Whether the batch exists is not checked.
func (c BatchChange) Validate() error {
	var v validator
	v.batch(c.Name)
	if !slices.Contains(BatchActions, c.Action) {
		v.add("action", "%s: want one of %v", quote(string(c.Action)), BatchActions)
	}
	if c.PerSecond != nil {
		v.perSecond(*c.PerSecond)
	}
	if c.InFlight != 0 {
		v.inFlight(c.InFlight)
	}
	if given := c.PerSecond != nil || c.InFlight != 0; given != (c.Action == BatchRate) {
		v.add("per_second", "want it, or in_flight, with action %s only", BatchRate)
	}
	v.operatorText("by", c.By, maxBy)
	v.operatorText("reason", c.Reason, maxControlReason)
	return v.err()
}

// BatchLineFilter selects lines of a batch.
type BatchLineFilter struct {
	Name string `json:"name"`
	// Status limits the list to lines with one status of [LineStatuses]; empty: all.
	Status Status `json:"status,omitempty"`
	// Limit is the size of a page: 50 by default, and at most 500.
	Limit int `json:"limit,omitempty"`
	// After is the number of the line after which the page begins.
	After int64 `json:"after,omitempty"`
}

// Validate checks the fields, as [Filter.Validate] does.
func (f BatchLineFilter) Validate() error {
	var v validator
	v.batch(f.Name)
	if f.Status != "" && !slices.Contains(LineStatuses, f.Status) {
		v.add("status", "unknown status %s: want one of %v", quote(string(f.Status)), LineStatuses)
	}
	return v.err()
}

// BatchResult is a line of a batch and what has become of it.
type BatchResult struct {
	Line           int64     `json:"line"`
	Operation      Operation `json:"operation"`
	MerchantID     string    `json:"merchant_id"`
	IdempotencyKey string    `json:"idempotency_key"`
	// ID is the [PaymentID] or [RefundID].
	ID string `json:"id"`
	// Status is one of [LineStatuses], as of when the line ended. Refusal is why it is [LineRefused].
	Status  Status `json:"status"`
	Refusal string `json:"refusal,omitempty"`
	// Current is the status that the payment or refund has now; empty before it has begun. Amount and the rest are also of now.
	Current  Status   `json:"current,omitempty"`
	Amount   int64    `json:"amount,omitempty"`
	Currency string   `json:"currency,omitempty"`
	Decline  *Decline `json:"decline,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
}

// BatchLinePage is a page of lines, in the order of the file.
type BatchLinePage struct {
	Lines []BatchResult `json:"lines"`
	// Next is the After of the next page; 0 on the last page.
	Next int64 `json:"next,omitempty"`
}

// IsBatchName reports whether a batch may have the name.
func IsBatchName(name string) bool { return isName(name, MaxBatchName) && !ContainsCardNumber(name) }

func (v *validator) batch(name string) {
	if !IsBatchName(name) {
		v.add("name", "%s: want 1 to %d of A-Z a-z 0-9 . _ -, and no card number", quote(name), MaxBatchName)
	}
}

func (v *validator) inFlight(n int) {
	if n < 1 || n > MaxBatchInFlight {
		v.add("in_flight", "%d: want 1 to %d", n, MaxBatchInFlight)
	}
}

func (v *validator) perSecond(rate float64) {
	if math.IsNaN(rate) || rate != 0 && rate < MinBatchRate || rate > maxControlRate {
		v.add("per_second", "want 0, or %g to %d lines per second", MinBatchRate, maxControlRate)
	}
}

// isHex reports whether s consists of hexadecimal digits in lower case.
func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
