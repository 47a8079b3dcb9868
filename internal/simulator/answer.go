package simulator

// What a caller gets: an answer, and the manner in which it is delivered, or not.

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// maxHang bounds an answer that never comes, for a client without a timeout of its own.
const maxHang = 60 * time.Second

// manner is how an answer travels.
type manner int

const (
	sent      manner = iota
	hung             // nothing is sent until the caller goes away
	reset            // the connection is reset with nothing sent
	truncated        // the header promises the whole body, half of it is sent
)

type answer struct {
	status int
	header map[string]string // beyond Content-Type: application/json
	body   []byte
	manner manner
}

// jsonAnswer panics on a value that cannot be marshalled: the types are our own.
func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return answer{status: status, body: body}
}

// problem is a refusal in the protocol's form. As an error it rolls back what the request began.
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

func (p *problem) answer() answer {
	return jsonAnswer(p.status, map[string]*problem{"error": p})
}

// answerTo turns an error into what the caller sees. What is not a refusal is the simulator's own failure.
func (s *Simulator) answerTo(err error) answer {
	var p *problem
	if !errors.As(err, &p) {
		s.log.Error("simulator failed", zap.Error(err))
		p = refuse(http.StatusInternalServerError, "simulator_error",
			"the simulator itself failed, this is no fault it was asked for; see its log")
	}
	return p.answer()
}

// deliver ends the request. What cannot be delivered whole panics with http.ErrAbortHandler, which makes net/http
// close the connection quietly.
func (s *Simulator) deliver(w http.ResponseWriter, r *http.Request, a answer) {
	switch a.manner {
	case hung:
		s.hold(r.Context(), maxHang)
		panic(http.ErrAbortHandler)
	case reset:
		resetConnection(w)
		return
	case sent, truncated: // both begin alike
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.status == http.StatusNotModified {
		w.Header().Del("Content-Type")
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if a.manner == truncated {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body) // a caller that has gone away is its own business
}

// resetConnection makes the caller see "connection reset by peer": with linger 0 the close sends RST, not FIN.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a test's recorder: closing is as near as one gets
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
