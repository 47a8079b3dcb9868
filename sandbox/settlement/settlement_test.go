package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlantedDifferencesAreFound(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, t.TempDir(), newCorpus(minPayments, 7)), "%s", &out)
	require.Regexp(t, `(?m)^reconcile-file: payments=2000 lines=\d+ planted=24 found=24 false=0 peak_rss_mb=\d+ seconds=\d+$`, out.String())
}

// Each seed plants each kind, in payments that can have it.
func TestEachKindIsPlanted(t *testing.T) {
	for seed := range uint64(20) {
		planted := map[string]int{}
		for _, kind := range newCorpus(minPayments, seed).planted {
			planted[string(kind)]++
		}
		require.Len(t, planted, len(kinds))
	}
	first, again := newCorpus(minPayments, 3), newCorpus(minPayments, 3)
	require.Equal(t, first, again)
}
