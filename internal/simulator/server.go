package simulator

// The HTTP surface: routes, request ids, authentication.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
)

// handler answers an authenticated request. A *problem among the errors is the caller's, any other the simulator's.
type handler func(*http.Request) (answer, error)

// Handler serves the protocol. Serve it over HTTP/1.1: to reset connections it takes them over.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.showPage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	methods := map[string][]string{}
	for _, route := range []struct {
		method, path string
		handler      handler
	}{
		{"POST", "/charges", s.post(s.charge)},
		{"GET", "/payments", s.get(listPayments)},
		{"GET", "/payments/{id}", s.get(getPayment)},
		{"POST", "/payments/{id}/capture", s.post(s.capture)},
		{"POST", "/payments/{id}/void", s.post(s.void)},
		{"POST", "/refunds", s.post(s.refund)},
		{"GET", "/refunds", s.get(listRefunds)},
		{"GET", "/refunds/{id}", s.get(getRefund)},
		{"GET", "/ledger", s.getLedger},
	} {
		mux.Handle(route.method+" "+route.path, s.serve(route.handler))
		methods[route.path] = append(methods[route.path], route.method)
	}
	// net/http would answer these in plain text.
	for path, allowed := range methods {
		mux.Handle(path, s.serve(methodNotAllowed(strings.Join(allowed, ", "))))
	}
	mux.Handle("/", s.serve(notFound))
	return withRequestID(mux)
}

// serve authenticates, runs the handler while the simulator is open, and delivers what it answers.
func (s *Simulator) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a, err := s.admit(r, h)
		if err != nil {
			a = s.answerTo(err)
		}
		s.log.Debug("answered", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", a.status),
			zap.String("request_id", w.Header().Get("X-Request-Id")), zap.Duration("took", time.Since(began)))
		s.deliver(w, r, a)
	})
}

func (s *Simulator) admit(r *http.Request, h handler) (answer, error) {
	if !s.enter() {
		return answer{}, refuse(http.StatusServiceUnavailable, "shutting_down", "the simulator is shutting down")
	}
	defer s.active.Done()
	if !s.authorized(r) {
		return answer{}, refuse(http.StatusUnauthorized, "unauthorized",
			"send Authorization: Bearer and the key that the simulator was started with")
	}
	return h(r)
}

// authorized compares hashes, which are equally long whatever was sent, in constant time.
func (s *Simulator) authorized(r *http.Request) bool {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(sum[:], s.keyHash[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func notFound(r *http.Request) (answer, error) {
	return answer{}, refuse(http.StatusNotFound, "not_found", "there is no "+r.URL.Path+"; GET / shows what there is")
}

func methodNotAllowed(allowed string) handler {
	return func(r *http.Request) (answer, error) {
		a := refuse(http.StatusMethodNotAllowed, "method_not_allowed", r.URL.Path+" takes "+allowed).answer()
		a.header = map[string]string{"Allow": allowed}
		return a, nil
	}
}

func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req_"+strings.ToLower(rand.Text()))
		next.ServeHTTP(w, r)
	})
}
