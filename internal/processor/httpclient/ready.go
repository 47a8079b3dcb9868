package httpclient

// Ready reports whether a call would probably be sent at once: no limit and no open breaker holds it back. It reserves nothing.
func (c *Client) Ready() bool {
	return c.bulkhead.hasRoom() && c.limiter.Ready() && c.breaker.Ready()
}
