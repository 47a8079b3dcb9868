// Package healthcheck provides a subcommand that checks the health of a running process. Container images without a shell use it
// as their health check.
package healthcheck

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// Command returns the subcommand healthcheck. It succeeds if a GET of the URL returns status 200 within three seconds. The flag
// --url replaces the given URL.
func Command(url string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 if the process is healthy; for containers without a shell",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return probe(cmd.Context(), url) },
	}
	cmd.Flags().StringVar(&url, "url", url, "health endpoint of the process")
	return cmd
}

func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only the status matters
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s: want 200 OK", url, resp.Status)
	}
	return nil
}
