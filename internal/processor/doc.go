// Package processor has no code: it describes the packages below it, which implement what the public package
// github.com/florinpay/florin/processor only defines: how Florin sends a request to a payment processor, and what the response proves
// about money. Each subject has a package of its own:
//
//	httpclient   the processor.Client: one request, its deadline, its connections, its audit record
//	classify     what a response or a network failure proves: the table of outcomes, status by status
//	ratelimit    token bucket, Retry-After, the processor's quota headers
//	breaker      stops calls to a processor that is down
//	retry        backoff, retry policy and retry budget
//	credentials  API keys and OAuth tokens, refreshed once for all callers
//	audit        the redacted log of every request and response
//	rest, stripe the adapters that ship with Florin; they use only package processor, like any other adapter
package processor
