package app

import (
	"crypto/rand"
	"fmt"
	"math"
	"os"

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/fleet"
	"github.com/florinpay/florin/internal/store"
)

// newFleet returns this process's part in the fleet of workers, which limits the rate of the calls to the opened processors.
func newFleet(c config.Config, s *store.Store, opened []*OpenProcessor, logger *zap.Logger) *fleet.Fleet {
	processors := make([]fleet.Processor, len(opened))
	for i, p := range opened {
		processors[i] = fleetProcessor(p, c.Processors[p.Client.Name()].RateLimit)
	}
	return fleet.New(s, instanceName(), processors, logger)
}

func fleetProcessor(p *OpenProcessor, limit config.RateLimit) fleet.Processor {
	configured := store.Rate{PerSecond: limit.PerSecond, Burst: limit.Burst}
	shared, own := configured, configured
	if limit.PerWorker {
		shared.PerSecond = 0
	}
	if !limit.PerWorker || limit.PerSecond == 0 {
		own.PerSecond = math.Inf(1)
	}
	return fleet.Processor{Name: p.Client.Name(), Shared: shared, Own: own, Gate: p.limiter}
}

// instanceName names this process. No other one has the same name, also after a restart.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%.100s/%.6s", os.Getpid(), host, rand.Text())
}
