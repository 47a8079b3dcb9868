package httpclient

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor"
)

// age makes all connections of the client reach their maximum age.
func age(c *Client) {
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	c.connections.until = time.Now()
}

// peers is a server that records the connection of each request. A request to /slow blocks until release is closed.
type peers struct {
	*httptest.Server
	arrived chan string // the client's address
	release chan struct{}
	open    sync.WaitGroup // connections
}

func servePeers(t *testing.T, http2 bool) *peers {
	t.Helper()
	p := &peers{arrived: make(chan string, 10), release: make(chan struct{})}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.arrived <- r.RemoteAddr
		if r.URL.Path == "/slow" {
			<-p.release
		}
		_, _ = w.Write([]byte(r.Proto))
	}))
	p.EnableHTTP2 = http2
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			p.open.Add(1)
		case http.StateClosed:
			p.open.Done()
		default:
		}
	}
	if http2 {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

// client returns a client of the server, and the number of its connections so far.
func (p *peers) client(t *testing.T) (*Client, *atomic.Int32) {
	t.Helper()
	c := newClient(t, p.URL, func(o *Options) { o.MaxInFlight = 4 })
	if p.TLS != nil {
		trust(c, p.Server)
	}
	dials := new(atomic.Int32)
	dial := c.connections.settings.DialContext
	c.connections.settings.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1) // each dial resolves the host name
		return dial(ctx, network, address)
	}
	return c, dials
}

func read(path string) processor.Call { return processor.Call{Method: http.MethodGet, Path: path} }

func TestBusyConnectionIsReplacedAtItsMaximumAge(t *testing.T) {
	for name, tc := range map[string]struct {
		http2 bool
		proto string
	}{"HTTP/1": {proto: "HTTP/1.1"}, "HTTP/2": {http2: true, proto: "HTTP/2.0"}} {
		t.Run(name, func(t *testing.T) {
			s := servePeers(t, tc.http2)
			c, dials := s.client(t)
			var inFlight sync.WaitGroup
			var slow processor.Answer
			var err error
			inFlight.Go(func() { slow, err = c.Do(t.Context(), read("/slow")) })
			before := <-s.arrived
			if tc.http2 {
				answer(t, c, charge())
				require.Equal(t, before, <-s.arrived, "both calls share a connection")
			}
			require.EqualValues(t, 1, dials.Load())

			age(c)
			answer(t, c, charge())
			after := <-s.arrived
			require.NotEqual(t, before, after)
			require.EqualValues(t, 2, dials.Load(), "the host name is resolved again")
			answer(t, c, charge())
			require.Equal(t, after, <-s.arrived, "the new connection is kept")

			close(s.release)
			inFlight.Wait()
			require.NoError(t, err, "the call in flight does not fail")
			require.Equal(t, tc.proto, string(slow.Body))
			require.Equal(t, 1, slow.Sends)
			answer(t, c, charge())
			require.Equal(t, after, <-s.arrived, "the old connection is not used again")
			require.EqualValues(t, 2, dials.Load())
		})
	}
}

func TestReplacedConnectionsAreClosed(t *testing.T) {
	s := servePeers(t, false)
	c, _ := s.client(t)
	var inFlight sync.WaitGroup
	inFlight.Go(func() { _, _ = c.Do(t.Context(), read("/slow")) })
	<-s.arrived
	answer(t, c, charge()) // a second connection, idle afterwards
	age(c)
	answer(t, c, charge())
	close(s.release)
	inFlight.Wait()
	c.Close()
	s.open.Wait() // all three are closed
}

func TestConnectionsAreUsedForTheirMaximumAgeAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxAge = time.Minute
		c := connections{settings: &http.Transport{}, maxAge: maxAge}
		ages := map[time.Duration]bool{}
		for range 100 {
			began, first := time.Now(), c.transport()
			<-time.After(maxAge*8/10 - 1)
			require.Same(t, first, c.transport())
			for c.transport() == first {
				<-time.After(100 * time.Millisecond)
			}
			age := time.Since(began)
			require.LessOrEqual(t, age, maxAge+100*time.Millisecond)
			ages[age] = true
		}
		require.Greater(t, len(ages), 30, "the ages are spread")
	})
}
