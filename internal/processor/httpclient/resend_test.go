package httpclient

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// The processor charges and closes the connection before it responds. net/http resends the request by itself on a new
// connection, and that request is refused: the refusal proves nothing about the first one.
func TestRefusalOfARequestThatNetHTTPResentIsAmbiguous(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 423, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			url := listen(t, func(n int, c *net.TCPConn) {
				requests := bufio.NewReader(c)
				next := func() bool {
					req, err := http.ReadRequest(requests)
					if err != nil {
						return false
					}
					_, err = io.Copy(io.Discard, req.Body)
					return err == nil
				}
				if n == 1 {
					if next() {
						_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
					}
					next() // the charge
					_ = c.Close()
					return
				}
				for next() {
					_, _ = fmt.Fprintf(c, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}", status)
				}
			})
			client := newClient(t, url)
			_, err := client.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments"})
			require.NoError(t, err)
			got, e := answer(t, client, charge())
			require.Equal(t, status, got.Status)
			require.Equal(t, processor.Ambiguous, e.Certainty)
			sends := 2
			if status == http.StatusUnauthorized {
				sends = 3 // with the replay
			}
			require.Equal(t, sends, got.Sends)
		})
	}
}
