package httpclient

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/sensitive"
	"github.com/florinpay/florin/processor"
)

// Size limits of a response.
const (
	maxResponseBody    = 1 << 20
	maxResponseHeaders = 64 << 10
	// maxDrain is how much of an oversized body is read to keep the connection. Beyond it, closing the connection is
	// cheaper.
	maxDrain = 64 << 10
)

// roundTrip returns the complete response, or the transport's error. If the processor repeats our API key in its response, the
// key is removed before any other code sees it.
func roundTrip(transport *http.Transport, req *http.Request, bearer string) (processor.Answer, error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return processor.Answer{}, err
	}
	body, whole := readBody(resp)
	if secret := credentials.Secret(bearer); secret != "" && bytes.Contains(body, []byte(secret)) {
		body = bytes.ReplaceAll(body, []byte(secret), []byte("***"))
	}
	id := requestID(resp.Header)
	if containsAPIKey(id, bearer) {
		id = ""
	}
	return processor.Answer{
		Status:     resp.StatusCode,
		Header:     resp.Header,
		Body:       body,
		Truncated:  !whole,
		RetryAfter: ratelimit.ParseRetryAfter(resp.Header, time.Now()),
		RequestID:  id,
	}, nil
}

// containsAPIKey reports whether a text from outside contains our API key.
func containsAPIKey(text, bearer string) bool {
	secret := credentials.Secret(bearer)
	return secret != "" && strings.Contains(text, secret)
}

// readBody reads up to the limit and closes the body.
func readBody(resp *http.Response) (body []byte, whole bool) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The body is the raw connection, to which the deadline of the request does not apply.
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBody+1))
	if err != nil || len(body) <= maxResponseBody {
		return body, err == nil
	}
	// An error here would only mean that the connection is not reused.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return body, false
}

// requestID returns the processor's id of the request, of at most 128 bytes.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	if id == "" {
		id = h.Get("Request-Id")
	}
	if sensitive.Text(id) {
		return ""
	}
	return strings.ToValidUTF8(id[:min(len(id), 128)], "")
}
