package e2e

import (
	"github.com/florinpay/florin/internal/config"
)

// queued lets first attempts go through the processors' task queues. It is for tests about these queues and their activities.
func queued(c *config.Config) {
	for name, p := range c.Processors {
		p.FirstAttempt = config.Queued
		c.Processors[name] = p
	}
}
