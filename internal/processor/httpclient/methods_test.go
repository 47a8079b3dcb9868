package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// methodCalls returns a call with each method: with a key, and without one where that is allowed.
func methodCalls() map[string]processor.Call {
	calls := map[string]processor.Call{}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete} {
		call := charge()
		call.Method = method
		if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
			call.Body = nil
		}
		calls[method+" with a key"] = call
		if repeatable(method) {
			call.Key = ""
			calls[method+" without a key"] = call
		}
	}
	return calls
}

func TestStatusMeansTheSameForEveryMethod(t *testing.T) {
	statuses := []int{300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415,
		418, 422, 423, 424, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 520, 599}
	var response atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(response.Load()))
	})
	c := newClient(t, s.URL)
	for _, status := range statuses {
		response.Store(int32(status))
		a, want := answer(t, c, charge())
		require.NotNil(t, want, status)
		for name, call := range methodCalls() {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				got, e := answer(t, c, call)
				require.Equal(t, []any{want.Certainty, want.Retry, want.Class, want.HTTPStatus},
					[]any{e.Certainty, e.Retry, e.Class, e.HTTPStatus})
				require.Equal(t, a.Sends, got.Sends)
			})
		}
	}
	for _, status := range []int{200, 201, 202, 204, 206} {
		response.Store(int32(status))
		for name, call := range methodCalls() {
			got, err := c.Do(t.Context(), call)
			require.NoError(t, err, name)
			require.Equal(t, status, got.Status)
		}
	}
}

func TestDeclineNeedsAKeyWhateverTheMethod(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPaymentRequired) })
	c := newClient(t, s.URL, func(o *Options) {
		o.Profile.Refusal = func(processor.Answer) processor.Refusal {
			return processor.Refusal{Decline: &payment.Decline{Code: "stolen", Kind: payment.DeclineHard}}
		}
	})
	for name, call := range methodCalls() {
		t.Run(name, func(t *testing.T) {
			a, e := answer(t, c, call)
			if call.Key != "" {
				require.Nil(t, e)
				require.Equal(t, "stolen", a.Decline.Code)
				return
			}
			require.Nil(t, a.Decline)
			require.Equal(t, []any{processor.Ambiguous, payment.ClassInvalidResponse}, []any{e.Certainty, e.Class})
		})
	}
}

func TestEveryMethodIsSentAgainUnchanged(t *testing.T) {
	for name, call := range methodCalls() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				record := func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						body, _ := io.ReadAll(r.Body)
						seen = append(seen, fmt.Sprint(r.Method, r.RequestURI, r.Header["Idempotency-Key"], string(body)))
						next(w, r)
					}
				}
				steps := []http.HandlerFunc{record(status(503)), record(status(429)), record(hangUp), record(status(200))}
				var n atomic.Int32
				connect := pipeServer(t, func(w http.ResponseWriter, r *http.Request) { steps[n.Add(1)-1](w, r) })
				c := newClient(t, "http://localhost", func(o *Options) { o.Retry = testRetry() })
				connect(c)
				// net/http resends a request without a body on its own if a kept connection was closed.
				c.connections.settings.DisableKeepAlives = true
				began := time.Now()
				a, err := c.Do(t.Context(), call)
				require.NoError(t, err)
				require.Equal(t, []any{4, 7 * time.Second}, []any{a.Sends, time.Since(began)})
				var keys []string
				if call.Key != "" {
					keys = []string{call.Key}
				}
				want := fmt.Sprint(call.Method, call.Path, keys, string(call.Body))
				require.Equal(t, []string{want, want, want, want}, seen)
			})
		})
	}
}

func TestMissingResponseMeansTheSameForEveryMethod(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		panic(http.ErrAbortHandler)
	})
	refused := serve(t, func(http.ResponseWriter, *http.Request) {})
	refused.Close()
	for name, call := range methodCalls() {
		t.Run(name, func(t *testing.T) {
			_, err := newClient(t, s.URL).Do(t.Context(), call)
			requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			<-arrived

			call.Path = "/hang"
			_, err = newClient(t, s.URL, within(100*time.Millisecond)).Do(t.Context(), call)
			requireError(t, err, processor.Ambiguous, true, payment.ClassOutcomeUnknown)
			<-arrived

			_, err = newClient(t, refused.URL).Do(t.Context(), call)
			requireError(t, err, processor.NotExecuted, true, payment.ClassNotSent)
		})
	}
}
