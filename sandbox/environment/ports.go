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

// The range is below the ports that operating systems assign to outgoing connections: these start at 32768 on Linux and
// higher elsewhere.
const (
	lowestPort  = 20000
	highestPort = 32767
)

// reserved has the ports that FreePorts has returned in this process.
var reserved sync.Map

// FreePorts returns n different loopback ports on which no process listens. No outgoing connection and no later call in
// this process gets them.
func FreePorts(ctx context.Context, n int) (ports []int, err error) {
	for range highestPort - lowestPort {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort+1) //nolint:gosec // not a secret
		if _, taken := reserved.LoadOrStore(port, true); taken {
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
	return nil, fmt.Errorf("fewer than %d free ports from %d to %d", n, lowestPort, highestPort)
}
