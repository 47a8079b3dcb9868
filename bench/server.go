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

// serveArgument makes this program the server.
const serveArgument = "serve"

const (
	answeredID        = "pi_3f2b6c0a9d"
	answeredRequestID = "req_5d1c8e7a40"
)

// payment is the answer to every request. It has what the REST protocol has in a payment and what Stripe has in a
// PaymentIntent, so that all clients read the same bytes.
const payment = `{"id":"` + answeredID + `","object":"payment_intent","status":"succeeded","amount":1250,"currency":"usd",` +
	`"captured_amount":1250,"refunded_amount":0,"reference":"` + key + `","created_at":"2026-01-02T15:04:05Z",` +
	`"metadata":{"order":"1","florin_payment_id":"pay_1","florin_merchant_id":"acme"}}`

// serve answers on a port of its own choice, which it writes to out, for as long as in is open: when the
// parent is gone, so is the server.
func serve(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing here ends before the process does
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(answer)}
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, server.Close(), errUnless(<-served, http.ErrServerClosed))
}

func errUnless(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// answer reads the request whole, so that the connection is kept.
func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(payment)))
	w.Header().Set("X-Request-Id", answeredRequestID)
	w.Header().Set("Request-Id", answeredRequestID)
	_, _ = io.WriteString(w, payment) // a peer that did not get it fails by itself
}

// child is the server in a process of its own.
type child struct {
	url  string
	stop func()
}

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
		_ = command.Wait() // what was measured is measured
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return child{}, fmt.Errorf("the server did not start: %w", err)
	}
	return child{url: strings.TrimSpace(url), stop: stop}, nil
}
