// Package healthcheck is the subcommand by which a container without a shell asks its own process whether it
// is healthy.
package healthcheck

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// Command returns the subcommand healthcheck: it exits 0 if the URL answers 200 within three seconds.
func Command(url string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 if a running process is healthy; for containers without a shell",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return probe(cmd.Context(), url) },
	}
	cmd.Flags().StringVar(&url, "url", url, "address to ask")
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
	defer func() { _ = resp.Body.Close() }() // only its status matters
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
