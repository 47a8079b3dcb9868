package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/webhook"
)

// drainWebhooks is how long requests in flight may continue when the worker stops. The processor repeats those that are cut off.
const drainWebhooks = 10 * time.Second

// maxWebhookConnections limits what senders without a secret can occupy: each connection may hold a body of webhook.MaxBody bytes
// until its signature is verified.
const maxWebhookConnections = 128

// webhookVerifiers returns the verifiers of the processors that have webhook secrets.
func webhookVerifiers(c config.Config, logger *zap.Logger) (map[string]*webhook.Rotating, error) {
	verifiers := map[string]*webhook.Rotating{}
	for _, name := range slices.Sorted(maps.Keys(c.Processors)) {
		p := c.Processors[name]
		if len(p.WebhookSecrets) == 0 {
			continue
		}
		var err error
		verifiers[name], err = webhook.NewRotating(p.LoadWebhookSecrets, func(err error) {
			logger.Warn("failed to read the webhook secrets again: the former ones stay in use",
				zap.String("processor", name), zap.Error(err))
		})
		if err != nil {
			return nil, fmt.Errorf("processors.%s.webhook_secrets: %w", name, err)
		}
	}
	return verifiers, nil
}

// signalingClient returns a client that sends the proofs of the endpoint for webhooks along with its signals, which temporal does not. It
// uses the connection of temporal. The caller must close it.
func signalingClient(ctx context.Context, temporal client.Client, o client.Options) (client.Client, error) {
	o.Interceptors = append(slices.Clone(o.Interceptors), caller.NewForwarder())
	signaling, err := client.NewClientFromExistingWithContext(ctx, temporal, o)
	if err != nil {
		return nil, fmt.Errorf("a Temporal client for signed signals: %w", err)
	}
	return signaling, nil
}

// webhookServer serves the endpoint for events. Nil means that the endpoint is off: its methods do nothing.
type webhookServer struct {
	server   *http.Server
	listener net.Listener
	logger   *zap.Logger
}

// openWebhooks listens, so that an address in use is reported at once. No request is served before serve. openWebhooks returns
// nil if no processor has a webhook secret. count counts the requests.
func openWebhooks(
	ctx context.Context, c config.Config, verifiers map[string]*webhook.Rotating, adapters config.Adapters, store webhook.Store, temporal webhook.Signaler,
	count func(processor, result string), logger *zap.Logger,
) (*webhookServer, error) {
	if len(verifiers) == 0 {
		return nil, nil
	}
	sources := map[string]webhook.Source{}
	for name, verifier := range verifiers {
		adapter := adapters[c.Processors[name].Adapter]
		sources[name] = webhook.Source{Verifier: verifier, Header: adapter.SignatureHeader, Event: adapter.ReadEvent}
	}
	endpoint, err := webhook.NewEndpoint(sources, store, temporal, logger)
	if err != nil {
		return nil, err
	}
	endpoint.SetObserver(count)
	errorLog, err := zap.NewStdLogAt(logger, zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	listener, err := Listen(ctx, c.Webhooks.Listen, "webhooks.listen")
	if err != nil {
		return nil, err
	}
	listener = netutil.LimitListener(listener, maxWebhookConnections)
	return &webhookServer{listener: listener, logger: logger, server: &http.Server{
		Handler:           endpoint,
		ErrorLog:          errorLog,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // includes the time to read the request
		IdleTimeout:       15 * time.Second, // an idle connection keeps another sender out
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// address returns the address at which the server listens; empty if it is off.
func (s *webhookServer) address() string {
	if s == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// serve serves requests in the background until close. If an error ends it before, fail is called with the error.
func (s *webhookServer) serve(fail func(error)) {
	if s == nil {
		return
	}
	go func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serving webhooks: %w", err))
		}
	}()
}

// close accepts no more requests and waits for those in flight.
func (s *webhookServer) close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainWebhooks)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.logger.Warn("webhook requests in flight were cut off", zap.Error(err))
		_ = s.server.Close() // its connections are abandoned
	}
	_ = s.listener.Close() // closed already if it was served
}
