package httpclient

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/florinpay/florin/processor"
)

// maxCached is the maximum number of lists in the cache, of up to maxResponseBody each.
const maxCached = 16

// cache stores the responses to lists (RFC 9111), so that an unchanged list is not transferred again: they are fresh for their
// max-age and are revalidated by their ETag afterwards. A cache belongs to one client, and so to one set of credentials.
type cache struct {
	mu      sync.Mutex
	entries map[string]cacheEntry
}

type cacheEntry struct {
	answer     processor.Answer
	freshUntil time.Time
	used       time.Time
}

// cached serves a call from the cache as far as the processor's headers allow, and stores what they permit.
func (c *Client) cached(ctx context.Context, call processor.Call) (processor.Answer, error) {
	if call.Method != http.MethodGet {
		return c.do(ctx, call)
	}
	name := call.Path + "?" + call.Query.Encode()
	kept := c.cache.get(name)
	if time.Now().Before(kept.freshUntil) {
		return kept.answer, orNil(decode(call, kept.answer))
	}
	etag := kept.answer.Header.Get("ETag")
	if etag != "" {
		call.Header = call.Header.Clone()
		if call.Header == nil {
			call.Header = http.Header{}
		}
		call.Header.Set("If-None-Match", etag)
	}
	answer, err := c.do(ctx, call)
	switch {
	case err != nil:
		return answer, err
	case answer.Status == http.StatusNotModified:
		unchanged := kept.answer
		unchanged.RequestID, unchanged.Took, unchanged.Sends = answer.RequestID, answer.Took, answer.Sends
		c.cache.put(name, unchanged, answer.Header)
		return unchanged, orNil(decode(call, unchanged))
	case answer.Status == http.StatusOK:
		c.cache.put(name, answer, answer.Header)
	}
	return answer, nil
}

// get returns a zero entry if there is none.
func (c *cache) get(name string) cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[name]
	if ok {
		entry.used = time.Now()
		c.entries[name] = entry
	}
	return entry
}

// put stores the answer as header permits, or removes the entry. It evicts the least recently used entry if the cache is full.
func (c *cache) put(name string, a processor.Answer, header http.Header) {
	now := time.Now()
	age, store := maxAge(header)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, name)
	if !store || age == 0 && a.Header.Get("ETag") == "" {
		return
	}
	if len(c.entries) >= maxCached {
		oldest := ""
		for other, entry := range c.entries {
			if oldest == "" || entry.used.Before(c.entries[oldest].used) {
				oldest = other
			}
		}
		delete(c.entries, oldest)
	}
	if c.entries == nil {
		c.entries = map[string]cacheEntry{}
	}
	a.Sends = 0
	c.entries[name] = cacheEntry{answer: a, freshUntil: now.Add(age), used: now}
}

// maxFresh bounds how long a list is served without revalidation, whatever its max-age: reconciliation compares money.
const maxFresh = 5 * time.Minute

// maxAge reads Cache-Control (RFC 9111 section 5.2.2). no-cache is a max-age of 0; no-store and Vary: * are not stored.
func maxAge(h http.Header) (age time.Duration, store bool) {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store":
			return 0, false
		case "no-cache":
			return 0, true
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 32)
			if err != nil {
				return 0, true
			}
			age = min(time.Duration(seconds)*time.Second, maxFresh)
		}
	}
	return age, h.Get("Vary") != "*"
}
