package simulator

// POST /batches: several charges in one request, each under its own idempotency key.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

const (
	batchesPath   = "/batches"
	maxBatchItems = 100
	maxBatchSize  = 4 << 20 // bytes
)

// batchItem is a charge as POST /charges takes it, with its idempotency key.
type batchItem struct {
	Key    string          `json:"key"`
	Charge json.RawMessage `json:"charge"`
}

// batchAnswer is the response to one item, as POST /charges would give it: the status and, of the body, the payment or the error.
type batchAnswer struct {
	Key        string          `json:"key"`
	Status     int             `json:"status"`
	Payment    json.RawMessage `json:"payment,omitempty"`
	Error      json.RawMessage `json:"error,omitempty"`
	RetryAfter string          `json:"retry_after,omitempty"` // the header Retry-After
	Replayed   bool            `json:"replayed,omitempty"`    // the header Idempotent-Replayed
}

// batch is POST /batches. The request counts as one for the rate limit, and has at most one random fault and latency of its own:
// a lost response leaves all items executed. Each item meets the faults of a charge, too.
func (s *Simulator) batch(r *http.Request) (response, error) {
	body, err := readBody(r, maxBatchSize)
	if err != nil {
		return response{}, err
	}
	var in struct {
		Items []batchItem `json:"items"`
	}
	if err := decode(body, &in); err != nil {
		return response{}, err
	}
	if len(in.Items) == 0 || len(in.Items) > maxBatchItems {
		return response{}, refuse(http.StatusUnprocessableEntity, "batch_invalid",
			fmt.Sprintf("%d items: must be 1 to %d", len(in.Items), maxBatchItems))
	}
	name, nth := r.Header.Get("Idempotency-Key"), 0
	if !s.randomnessOff() {
		nth = s.reads.add(r.Method + r.URL.Path + name)
	}
	return s.inject(r.Context(), s.draw(r.Method, r.URL.Path, name, nth), func(ctx context.Context) (response, error) {
		answers := []batchAnswer{}
		for _, item := range in.Items {
			if answer, ok := s.answerItem(ctx, item); ok {
				answers = append(answers, answer)
			}
		}
		return jsonResponse(http.StatusOK, map[string]any{"items": answers}), nil
	}), nil
}

// answerItem executes one item as a POST /charges of its own. ok is false if that would have had no response: then the item is
// missing from the response to the batch. Nor does the answer have a body that is not JSON.
func (s *Simulator) answerItem(ctx context.Context, item batchItem) (answer batchAnswer, ok bool) {
	const path = "/charges"
	req := postRequest{key: item.Key, body: item.Charge}
	err := checkKey(req.key)
	if err == nil {
		req.fingerprint, err = fingerprint(http.MethodPost, path, req.body)
	}
	var resp response
	if err == nil {
		resp, err = s.answer(ctx, s.charge, path, req, 0)
	}
	if err != nil {
		resp = s.errorResponse(err)
	}
	if resp.delivery != deliverAll {
		return batchAnswer{}, false
	}
	answer = batchAnswer{Key: item.Key, Status: resp.status, RetryAfter: resp.header["Retry-After"],
		Replayed: resp.header["Idempotent-Replayed"] == "true"}
	var refused struct {
		Error json.RawMessage `json:"error"`
	}
	switch body := bytes.TrimSpace(resp.body); {
	case len(body) > maxBodySize || !bytes.HasPrefix(body, []byte("{")) || !json.Valid(body):
	case json.Unmarshal(body, &refused) == nil && len(refused.Error) > 0:
		answer.Error = refused.Error
	default:
		answer.Payment = body
	}
	return answer, true
}
