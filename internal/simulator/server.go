package simulator

// The HTTP server: routes, request IDs and authentication.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
)

// handler processes an authenticated request. An error that is a *problem is the client's mistake; any other error is
// a failure of the simulator.
type handler func(*http.Request) (response, error)

// Handler returns the handler of the protocol. Serve it over HTTP/1.1: simulated connection resets need to hijack the
// connection, which HTTP/2 does not support.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	methods := map[string][]string{}
	for _, route := range []struct {
		method, path string
		handler      handler
	}{
		{method: "POST", path: "/charges", handler: s.post(s.charge)},
		{method: "POST", path: batchesPath, handler: s.limited(s.batch)},
		{method: "GET", path: "/payments", handler: s.get(listPayments)},
		{method: "GET", path: "/payments/{id}", handler: s.get(getPayment)},
		{method: "POST", path: "/payments/{id}/capture", handler: s.post(s.capture)},
		{method: "POST", path: "/payments/{id}/void", handler: s.post(s.void)},
		{method: "POST", path: "/refunds", handler: s.post(s.refund)},
		{method: "GET", path: "/refunds", handler: s.get(listRefunds)},
		{method: "GET", path: "/refunds/{id}", handler: s.get(getRefund)},
		{method: "GET", path: "/ledger", handler: s.getLedger},
	} {
		mux.Handle(route.method+" "+route.path, s.serve(route.handler))
		methods[route.path] = append(methods[route.path], route.method)
	}
	// Without these two, net/http would respond in plain text instead of JSON.
	for path, allowed := range methods {
		mux.Handle(path, s.serve(methodNotAllowed(strings.Join(allowed, ", "))))
	}
	mux.Handle("/", s.serve(notFound))
	return withRequestID(mux)
}

// serve authenticates the request, runs the handler and delivers its response.
func (s *Simulator) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		resp, err := s.handle(r, h)
		if err != nil {
			resp = s.errorResponse(err)
		}
		s.log.Debug("request handled", zap.String("method", r.Method), zap.String("path", r.URL.Path),
			zap.Int("status", resp.status), zap.String("request_id", w.Header().Get("X-Request-Id")),
			zap.Duration("took", time.Since(start)))
		s.deliver(w, r, resp)
	})
}

func (s *Simulator) handle(r *http.Request, h handler) (response, error) {
	if !s.begin() {
		return response{}, refuse(http.StatusServiceUnavailable, "shutting_down", "the simulator is shutting down")
	}
	defer s.active.Done()
	if !s.authorized(r) {
		return response{}, refuse(http.StatusUnauthorized, "unauthorized",
			"missing or wrong API key: send the header Authorization: Bearer KEY with the simulator's API key")
	}
	return h(r)
}

// authorized compares hashes instead of keys: they have equal length for every input, as the comparison in constant
// time needs.
func (s *Simulator) authorized(r *http.Request) bool {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(sum[:], s.keyHash[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func notFound(r *http.Request) (response, error) {
	return response{}, refuse(http.StatusNotFound, "not_found",
		"unknown path "+r.URL.Path+": GET / describes the simulator")
}

func methodNotAllowed(allowed string) handler {
	return func(r *http.Request) (response, error) {
		resp := refuse(http.StatusMethodNotAllowed, "method_not_allowed",
			"method "+r.Method+" is not allowed for "+r.URL.Path+": use "+allowed).response()
		resp.header = map[string]string{"Allow": allowed}
		return resp, nil
	}
}

func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req_"+strings.ToLower(rand.Text()))
		next.ServeHTTP(w, r)
	})
}
