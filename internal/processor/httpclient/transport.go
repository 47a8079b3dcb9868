package httpclient

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	connectTimeout     = 5 * time.Second
	defaultIdleTimeout = 30 * time.Second
)

// newTransport is used without an http.Client, so that no redirect is followed: a redirected POST would become a GET, or carry
// the key to another host. It ignores HTTP_PROXY and HTTPS_PROXY: a variable of the environment must not decide who receives
// payments.
func newTransport(o Options) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	idle := o.IdleTimeout
	if idle == 0 {
		idle = defaultIdleTimeout
	}
	transport := &http.Transport{
		DialContext:       dialer.DialContext,
		ForceAttemptHTTP2: true,
		// Pings detect a dead connection before a payment is sent on it.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: idle / 2, PingTimeout: connectTimeout},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		MaxConnsPerHost:        o.MaxInFlight,
		MaxIdleConns:           o.MaxInFlight,
		MaxIdleConnsPerHost:    o.MaxInFlight,
		IdleConnTimeout:        idle,
		MaxResponseHeaderBytes: maxResponseHeaders,
	}
	if o.TLS != nil {
		transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialTLS(ctx, dialer, network, address, o.TLS)
		}
	}
	return transport
}

// dialTLS opens a connection with a configuration that is read for it, as net/http does with a fixed one.
func dialTLS(
	ctx context.Context, dialer *net.Dialer, network, address string, configuration func() (*tls.Config, error),
) (net.Conn, error) {
	config, err := configuration()
	if err != nil {
		return nil, err
	}
	if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close() // the handshake has failed
		return nil, err
	}
	return secure, nil
}
