package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// serveArgument is the argument with which this program runs the server.
const serveArgument = "serve"

// The IDs in every response.
const (
	sentPaymentID = "pi_3f2b6c0a9d"
	sentRequestID = "req_5d1c8e7a40"
)

// payment is the body of every response. It has the fields of a payment in the REST protocol and of a PaymentIntent at Stripe,
// so that all clients read the same bytes.
const payment = `{"id":"` + sentPaymentID + `","object":"payment_intent","status":"succeeded","amount":1250,"currency":"usd",` +
	`"captured_amount":1250,"refunded_amount":0,"reference":"` + key + `","created_at":"2026-01-02T15:04:05Z",` +
	`"metadata":{"order":"1","florin_payment_id":"pay_1","florin_merchant_id":"acme"}}`

// serve serves on a free port, and writes its URL to out. It returns once in is closed, so that the server stops when the parent
// process exits.
func serve(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // the listener lives as long as the process
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(respond)}
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, server.Close(), errUnless(<-served, http.ErrServerClosed))
}

// errUnless returns err, or nil if it is the expected error.
func errUnless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// respond reads the whole request, so that the connection can be reused.
func respond(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(payment)))
	w.Header().Set("X-Request-Id", sentRequestID)
	w.Header().Set("Request-Id", sentRequestID)
	_, _ = io.WriteString(w, payment) // If it fails, the client returns an error.
}

// child is the server as a child process.
type child struct {
	url  string
	stop func()
}

// startServer starts the server and returns once it serves.
func startServer(ctx context.Context) (child, error) {
	self, err := os.Executable()
	if err != nil {
		return child{}, err
	}
	command := exec.CommandContext(ctx, self, serveArgument)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return child{}, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return child{}, err
	}
	if err := command.Start(); err != nil {
		return child{}, err
	}
	stop := func() {
		in.Close()
		_ = command.Wait() // An error does not matter: the measurement is finished.
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return child{}, fmt.Errorf("the server did not start: %w", err)
	}
	return child{url: strings.TrimSpace(url), stop: stop}, nil
}
