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

	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/webhook"
)

// Webhooks is where processors send their events: POST /webhooks/<processor>, for each that has webhook_secrets. Without
// any it is off. It speaks no TLS: what faces the internet stands before it.
type Webhooks struct {
	Listen string `yaml:"listen"`
}

// maxWebhookSecrets are the old one and the new one.
const maxWebhookSecrets = 2

// drainWebhooks is how long requests may go on that are at work when the worker stops. What is cut off comes again.
const drainWebhooks = 10 * time.Second

// hasWebhooks holds where any processor may send events.
func (c Config) hasWebhooks() bool {
	for _, p := range c.Processors {
		if len(p.WebhookSecrets) > 0 {
			return true
		}
	}
	return false
}

// webhookProblems checks what is said about webhooks.
func (c Config) webhookProblems() (problems []error) {
	switch listen := c.Webhooks.Listen; {
	case listen == "" && !c.hasWebhooks():
	case !c.hasWebhooks():
		problems = append(problems, fmt.Errorf("webhooks.listen %q: means nothing without webhook_secrets of a processor", listen))
	default:
		if _, _, err := net.SplitHostPort(listen); err != nil {
			problems = append(problems, fmt.Errorf("webhooks.listen %q: want host:port", listen))
		}
	}
	return problems
}

func (p Processor) webhookProblems() (problems []error) {
	if n := len(p.WebhookSecrets); n > maxWebhookSecrets {
		problems = append(problems, fmt.Errorf("webhook_secrets: %d of them, want one, or two while one replaces the other", n))
	}
	for i, secret := range p.WebhookSecrets {
		if !secret.single() {
			problems = append(problems, fmt.Errorf("webhook_secrets[%d]: want either env or file", i))
		}
	}
	return problems
}

// webhookSource reads the secrets, once: a new one takes a restart.
func (p Processor) webhookSource() (webhook.Source, error) {
	secrets := make([]string, len(p.WebhookSecrets))
	for i, secret := range p.WebhookSecrets {
		var err error
		if secrets[i], err = secret.Load(); err != nil {
			return webhook.Source{}, err
		}
	}
	verifier, err := webhook.New(secrets, 0)
	known := adapters[p.Adapter]
	return webhook.Source{Verifier: verifier, Header: known.signatureHeader, Event: known.event}, err
}

// webhookServer serves the endpoint. Nil is one that is off.
type webhookServer struct {
	server   *http.Server
	listener net.Listener
	logger   *zap.Logger
	// patience is how long requests at work may go on once it closes.
	patience func() (context.Context, context.CancelFunc)
}

// openWebhooks listens, so that an address in use is known at once, but answers nobody before serve.
func openWebhooks(ctx context.Context, c Config, store webhook.Store, temporal webhook.Signaler, logger *zap.Logger) (*webhookServer, error) {
	if !c.hasWebhooks() {
		return nil, nil
	}
	sources := map[string]webhook.Source{}
	for _, name := range slices.Sorted(maps.Keys(c.Processors)) {
		p := c.Processors[name]
		if len(p.WebhookSecrets) == 0 {
			continue
		}
		var err error
		if sources[name], err = p.webhookSource(); err != nil {
			return nil, fmt.Errorf("processors.%s.webhook_secrets: %w", name, err)
		}
	}
	endpoint, err := webhook.NewEndpoint(sources, store, temporal, logger)
	if err != nil {
		return nil, err
	}
	errorLog, err := zap.NewStdLogAt(logger, zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	listener, err := Listen(ctx, c.Webhooks.Listen, "webhooks.listen")
	if err != nil {
		return nil, err
	}
	patience := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), drainWebhooks)
	}
	return &webhookServer{listener: listener, logger: logger, patience: patience, server: &http.Server{
		Handler:           endpoint,
		ErrorLog:          errorLog,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // reading is a part of it
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// address is where it listens; empty where it is off.
func (s *webhookServer) address() string {
	if s == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// serve answers until close. fail gets what ends it otherwise.
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

// close takes no more requests, and returns when those at work are done.
func (s *webhookServer) close() {
	if s == nil {
		return
	}
	ctx, cancel := s.patience()
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.logger.Warn("webhooks were cut off", zap.Error(err))
		_ = s.server.Close() // it is on its way out
	}
	_ = s.listener.Close() // closed twice where it was served
}
