package environment

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// web is a running Temporal Web.
type web struct {
	server *server.Server
	done   chan struct{}
}

func startWeb(ctx context.Context, port int, temporalAddress string) (*web, error) {
	w := &web{done: make(chan struct{}), server: server.NewServer(server_options.WithConfigProvider(&config.Config{
		TemporalGRPCAddress: temporalAddress,
		Host:                loopback,
		Port:                port,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		HideLogs:            true,
		DisableNewsFetch:    true,
		Distribution:        "server",
		CORS:                config.CORS{CookieInsecure: true},
	}))}
	go func() {
		defer close(w.done)
		// Start exits the process if it cannot listen. choosePorts has checked that it can.
		_ = w.server.Start()
	}()
	if err := w.waitUntilServing(ctx, webURL(port)); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *web) waitUntilServing(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close() // only the status matters
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Temporal Web does not answer at %s", address) //nolint:staticcheck // a name
		case <-w.done:
			return fmt.Errorf("Temporal Web stopped while starting") //nolint:staticcheck // a name
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *web) stop() {
	w.server.Stop()
	<-w.done
}

func webURL(port int) string { return fmt.Sprintf("http://%s:%d", loopback, port) }

// workflowURL encodes the ID as Temporal Web does in its own links. Without the ID of a run, Temporal Web would search for the workflow
// with a query that it does not escape: it could not open the page of an ID with a double quote.
func workflowURL(port int, workflowID, runID string) string {
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s", webURL(port), namespace, encodeURIComponent(workflowID), runID)
}

// encodeURIComponent encodes as the JavaScript function does, which differs from both functions of package url: a blank is %20, and
// plus and equals signs are encoded.
func encodeURIComponent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
