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

// processorProxy is the proxy between the worker and the simulated processor.
type processorProxy struct {
	trigger *trigger
	// target is the simulator's address.
	target string
}

func newProcessorProxy(t *trigger, target string) *http.Server {
	p := &processorProxy{trigger: t, target: target}
	return &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}
}

// inlinePath is the path prefix of the processors whose first attempts are inline: what begins with it is another point of the matrix. The
// simulator does not see it.
const inlinePath = "/inline"

// httpExchange returns the name of a request in the matrix.
func httpExchange(r *http.Request) string {
	path, inline := strings.CutPrefix(r.URL.Path, inlinePath)
	switch {
	case inline && r.Method == http.MethodPost && path == "/charges":
		return inlineCharge
	case inline && r.Method == http.MethodPost && path == "/refunds":
		return inlineRefund
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

// ServeHTTP forwards the request, and returns the response unchanged, including its faults. If there is no response, or a
// message is dropped, it breaks the connection.
func (p *processorProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := p.serve(w, r); err != nil {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler) // A part of the response was sent already: end it incomplete.
		}
		if tracked, ok := conn.(*trackedConn); ok {
			reset(tracked.Conn)
		}
		_ = conn.Close()
	}
}

func (p *processorProxy) serve(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	exchange := httpExchange(r)
	message := fmt.Appendf(nil, "%s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), body)
	if err := p.trigger.reach(at(exchange, beforeSend), message); err != nil {
		return err
	}
	sent := func() error { return p.trigger.reach(at(exchange, executing), message) }
	response, closeConn, err := p.forward(r, body, sent)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	defer closeConn() // Runs first, so that closing the body does not wait for the rest of it.
	content, readErr := io.ReadAll(response.Body)
	if err := p.trigger.reach(at(exchange, beforeResponse), message); err != nil {
		return err
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.Header().Del("Connection") // It is about the connection to the simulator, not the worker's.
	if response.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(response.ContentLength))
	}
	w.WriteHeader(response.StatusCode)
	if _, err := w.Write(content); err != nil {
		return err
	}
	if readErr != nil {
		_ = http.NewResponseController(w).Flush() // The worker receives the part that the simulator sent.
		return errors.Join(errors.New("the response is incomplete"), readErr)
	}
	return nil
}

// forward sends the request to the simulator, on a new connection, so that a fault of another request's connection cannot
// affect this one. It calls sent once the whole request is written, which is when the simulator executes it.
func (p *processorProxy) forward(r *http.Request, body []byte, sent func() error) (response *http.Response, closeConn func(), err error) {
	conn, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", p.target)
	if err != nil {
		return nil, nil, err
	}
	// When the caller ends its request, end ours.
	stopWatching := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	closeConn = func() { stopWatching(); _ = conn.Close() }
	response, err = p.roundTrip(r, conn, body, sent)
	if err != nil {
		closeConn()
		return nil, nil, err
	}
	return response, closeConn, nil
}

func (p *processorProxy) roundTrip(r *http.Request, conn net.Conn, body []byte, sent func() error) (*http.Response, error) {
	url := "http://" + p.target + strings.TrimPrefix(r.URL.RequestURI(), inlinePath)
	request, err := http.NewRequestWithContext(r.Context(), r.Method, url, bytes.NewReader(body)) //nolint:gosec // to our own simulator
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
