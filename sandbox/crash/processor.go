package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// processorProxy is between the worker and the simulated processor.
type processorProxy struct {
	gate *gate
	// target is the simulator's address.
	target string
}

func newProcessorProxy(g *gate, target string) *http.Server {
	p := &processorProxy{gate: g, target: target}
	return &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}
}

// operation names a call of the protocol.
func operation(r *http.Request) string {
	switch path := r.URL.Path; {
	case r.Method == http.MethodPost && path == "/charges":
		return chargeCall
	case r.Method == http.MethodPost && path == "/refunds":
		return refundCall
	case r.Method == http.MethodPost && strings.HasSuffix(path, "/capture"):
		return captureCall
	case r.Method == http.MethodPost && strings.HasSuffix(path, "/void"):
		return voidCall
	case strings.HasPrefix(path, "/payments"):
		return chargeLookup
	case strings.HasPrefix(path, "/refunds"):
		return refundLookup
	default:
		return "unknown"
	}
}

// ServeHTTP passes a call on and its answer back, with everything that is wrong with it. What is dropped breaks the
// connection.
func (p *processorProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := p.serve(w, r); err != nil {
		broken, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler) // something was answered already: the rest is missing
		}
		if v, ok := broken.(*visitor); ok {
			reset(v.Conn)
		}
		_ = broken.Close()
	}
}

func (p *processorProxy) serve(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	what := operation(r)
	held := fmt.Appendf(nil, "%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), body)
	if err := p.gate.pass(at(what, beforeSend), held); err != nil {
		return err
	}
	answer, end, err := p.exchange(r, body, func() error { return p.gate.pass(at(what, executing), held) })
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	defer end() // first, so that nothing is waited for
	said, readErr := io.ReadAll(answer.Body)
	if err := p.gate.pass(at(what, afterSend), held); err != nil {
		return err
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.Header().Del("Connection") // that to the simulator ends, the caller's need not
	if answer.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(answer.ContentLength))
	}
	w.WriteHeader(answer.StatusCode)
	if _, err := w.Write(said); err != nil {
		return err
	}
	if readErr != nil {
		_ = http.NewResponseController(w).Flush() // what there is of it arrives
		return errors.Join(errors.New("the answer broke off"), readErr)
	}
	return nil
}

// exchange sends the call to the simulator, on a connection of its own: what another call carried must not be blamed on
// this one. sent is called when all of it was written, which is when it is being executed.
func (p *processorProxy) exchange(r *http.Request, body []byte, sent func() error) (*http.Response, func(), error) {
	conn, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.target)
	if err != nil {
		return nil, nil, err
	}
	// The caller's end is the call's.
	left := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	end := func() { left(); _ = conn.Close() }
	answer, err := p.talk(r, conn, body, sent)
	if err != nil {
		end()
		return nil, nil, err
	}
	return answer, end, nil
}

func (p *processorProxy) talk(r *http.Request, conn net.Conn, body []byte, sent func() error) (*http.Response, error) {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+p.target+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // to our own simulator
	if err != nil {
		return nil, err
	}
	request.Header, request.Close = r.Header.Clone(), true
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	if err := sent(); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), request)
}
