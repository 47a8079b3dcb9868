package simulator

// The response to a request, and how it is delivered.

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// maxHang is the longest time that a request without a response stays open, in case the client has no timeout.
const maxHang = 60 * time.Second

// delivery is how much of a response reaches the client.
type delivery int

const (
	deliverAll       delivery = iota
	deliverNothing            // no byte is sent; the connection stays open until the client closes it
	deliverReset              // no byte is sent; the connection is reset
	deliverTruncated          // Content-Length announces the whole body, but only half of it is sent
)

type response struct {
	status   int
	header   map[string]string // in addition to Content-Type: application/json
	body     []byte
	delivery delivery
}

// jsonResponse panics if v cannot be marshaled: it is called only with types of this package.
func jsonResponse(status int, v any) response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return response{status: status, body: body}
}

// problem is an error response of the protocol. Returned as an error inside a transaction, it rolls the transaction
// back.
type problem struct {
	Code        string `json:"code"`
	Message     string `json:"message"`
	DeclineCode string `json:"decline_code,omitempty"`
	DeclineKind string `json:"decline_kind,omitempty"`
	status      int
}

func refuse(status int, code, message string) *problem {
	return &problem{status: status, Code: code, Message: message}
}

func (p *problem) Error() string { return p.Code + ": " + p.Message }

func (p *problem) response() response {
	return jsonResponse(p.status, map[string]*problem{"error": p})
}

// errorResponse turns an error into a response. An error that is not a *problem is a failure of the simulator itself.
func (s *Simulator) errorResponse(err error) response {
	var p *problem
	if !errors.As(err, &p) {
		s.log.Error("simulator failed", zap.Error(err))
		p = refuse(http.StatusInternalServerError, "simulator_error",
			"the simulator itself failed; this is not a simulated fault: see the simulator's log")
	}
	return p.response()
}

// deliver writes the response. If it must not arrive completely, deliver panics with http.ErrAbortHandler: net/http
// then closes the connection without logging a stack trace.
func (s *Simulator) deliver(w http.ResponseWriter, r *http.Request, resp response) {
	switch resp.delivery {
	case deliverNothing:
		s.wait(r.Context(), maxHang)
		panic(http.ErrAbortHandler)
	case deliverReset:
		resetConnection(w)
		return
	case deliverAll, deliverTruncated: // both start with the status and the header
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range resp.header {
		w.Header().Set(name, value)
	}
	if resp.status == http.StatusNotModified {
		w.Header().Del("Content-Type")
		w.WriteHeader(resp.status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
	w.WriteHeader(resp.status)
	if resp.delivery == deliverTruncated {
		_, _ = w.Write(resp.body[:len(resp.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(resp.body) // the client may have closed the connection, which is not an error here
}

// resetConnection makes the client see "connection reset by peer": with linger 0, Close sends RST instead of FIN.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 and test recorders cannot be hijacked. Closing the connection is the closest equivalent.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
