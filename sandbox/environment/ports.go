package environment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Ports that systems give to outgoing connections begin above these: at 32768 on Linux, later elsewhere.
const (
	lowestPort  = 20000
	highestPort = 32767
)

// handedOut are the ports that this process has been given.
var handedOut sync.Map

// FreePorts finds n different ports on the loopback that nobody listens on. Until they are used no connection takes
// them, and no other call in this process gets them.
func FreePorts(ctx context.Context, n int) (ports []int, err error) {
	for range highestPort - lowestPort {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort+1) //nolint:gosec // not a secret
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, lowestPort, highestPort)
}
