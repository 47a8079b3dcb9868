package httpclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// list returns a call that may be answered from the cache.
func list(cursor string) processor.Call {
	return processor.Call{Method: http.MethodGet, Path: "/payments", Query: url.Values{"cursor": {cursor}}, Cached: true}
}

// lists returns a script whose body contains the number of calls so far. It responds with 304 to the ETag in header.
func lists(header ...string) *script {
	s := &script{}
	s.handlers = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if etag := w.Header().Get("ETag"); etag != "" && r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = fmt.Fprintf(w, "%d %s", s.calls.Load(), r.URL.Query().Get("cursor"))
	}}
	return s
}

func TestCacheFollowsTheResponseHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		header []string
		wait   time.Duration
		calls  int
		body   string
	}{
		"no headers": {calls: 2, body: "2 a"},
		"fresh": {header: []string{"Cache-Control", "max-age=60"}, wait: 59 * time.Second,
			calls: 1, body: "1 a"},
		"no longer fresh": {header: []string{"Cache-Control", "max-age=60"}, wait: 60 * time.Second,
			calls: 2, body: "2 a"},
		"fresh, among other directives": {header: []string{"Cache-Control", `private, Max-Age="60"`},
			wait: 59 * time.Second, calls: 1, body: "1 a"},
		"unchanged": {header: []string{"ETag", `"v1"`}, wait: time.Hour, calls: 2, body: "1 a"},
		"unchanged, revalidated each time": {header: []string{"ETag", `"v1"`, "Cache-Control", "no-cache, max-age=60"},
			calls: 2, body: "1 a"},
		"fresh, then unchanged": {header: []string{"ETag", `"v1"`, "Cache-Control", "max-age=60"},
			wait: 2 * time.Minute, calls: 2, body: "1 a"},
		"no-store": {header: []string{"ETag", `"v1"`, "Cache-Control", "max-age=60, no-store"},
			calls: 2, body: "2 a"},
		"Vary: *":          {header: []string{"ETag", `"v1"`, "Vary", "*"}, calls: 2, body: "2 a"},
		"negative max-age": {header: []string{"Cache-Control", "max-age=-1"}, calls: 2, body: "2 a"},
		"max-age of a year": {header: []string{"Cache-Control", "max-age=31536000"}, wait: maxFresh,
			calls: 2, body: "2 a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := lists(tc.header...)
				c := retrying(t, s, nil)
				for i := range 2 {
					var decoded string
					call := list("a")
					call.Decode = func(body []byte) error { decoded = string(body); return nil }
					got, err := c.Do(t.Context(), call)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, got.Status)
					require.Equal(t, string(got.Body), decoded)
					if i == 0 {
						require.Equal(t, "1 a", decoded)
						<-time.After(tc.wait)
						continue
					}
					require.Equal(t, tc.body, decoded)
					require.Equal(t, tc.calls-1, got.Sends)
				}
				require.EqualValues(t, tc.calls, s.calls.Load())
			})
		})
	}
}

func TestCallWithoutCachedIsNeverCached(t *testing.T) {
	s := lists("ETag", `"v1"`, "Cache-Control", "max-age=60")
	c := newClient(t, serve(t, s.serve).URL)
	for want := range 3 {
		call := list("a")
		call.Cached = false
		got, err := c.Do(t.Context(), call)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("%d a", want+1), string(got.Body))
	}
}

func TestOnlyGETIsCached(t *testing.T) {
	s := lists("Cache-Control", "max-age=60")
	c := newClient(t, serve(t, s.serve).URL)
	for range 2 {
		call := charge()
		call.Cached = true
		_, err := c.Do(t.Context(), call)
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, s.calls.Load())
}

func TestCacheEvictsTheLeastRecentlyUsedEntry(t *testing.T) {
	s := lists("Cache-Control", "max-age=60")
	c := newClient(t, serve(t, s.serve).URL)
	get := func(i int) int {
		got, err := c.Do(t.Context(), list(fmt.Sprint(i)))
		require.NoError(t, err)
		return got.Sends
	}
	for i := range maxCached {
		require.Equal(t, 1, get(i))
	}
	require.Zero(t, get(0), "now the most recently used entry")
	require.Equal(t, 1, get(maxCached), "evicts entry 1")
	require.Len(t, c.cache.entries, maxCached)
	require.Zero(t, get(0))
	require.Equal(t, 1, get(1))
}

func TestErrorIsNotCachedAndKeepsTheCachedResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lists("ETag", `"v1"`)
		s.handlers = append(s.handlers, status(500, "Cache-Control", "max-age=60"), s.handlers[0])
		c := retrying(t, s, nil)
		_, err := c.Do(t.Context(), list("a"))
		require.NoError(t, err)
		_, err = c.Do(t.Context(), list("a"))
		require.Error(t, err)
		got, err := c.Do(t.Context(), list("a"))
		require.NoError(t, err)
		require.Equal(t, "1 a", string(got.Body))
	})
}

func TestUnsolicited304IsAmbiguous(t *testing.T) {
	s := &script{handlers: []http.HandlerFunc{status(http.StatusNotModified)}}
	_, err := newClient(t, serve(t, s.serve).URL).Do(t.Context(), list("a"))
	var e *processor.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, processor.Ambiguous, e.Certainty)
}

func TestCachedBodyThatDecodeRefusesIsAnError(t *testing.T) {
	s := lists("Cache-Control", "max-age=60")
	c := newClient(t, serve(t, s.serve).URL)
	_, err := c.Do(t.Context(), list("a"))
	require.NoError(t, err)
	call := list("a")
	call.Decode = func([]byte) error { return errors.New("unexpected body") }
	_, err = c.Do(t.Context(), call)
	require.ErrorContains(t, err, "unexpected body")
}
