package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplaytestFindsEveryMutation(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the workflows thirteen times")
	}
	var table bytes.Buffer
	err := testMutations(t.Context(), "../..", cmp.Or(os.Getenv("HISTORIES"), "../testdata/histories"), &table)
	t.Log("\n" + table.String())
	require.NoError(t, err)
}

func TestMutationThatDoesNotFitTheSourceOnceIsAnError(t *testing.T) {
	module := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(module, "source.go"), []byte("package source // twice, twice"), 0o600))
	for old, times := range map[string]string{"never": "0 times", "twice": "2 times"} {
		m := mutation{name: old, file: "source.go", old: old, changed: "once"}
		_, err := m.overlay(module, t.TempDir())
		require.ErrorContains(t, err, "source.go contains the text to replace "+times+": want it once")
	}
	m := mutation{file: "source.go", old: "package", changed: "module"}
	_, err := m.overlay(module, t.TempDir())
	require.NoError(t, err)
}

func TestMissedMutationIsAnError(t *testing.T) {
	results := make([]replayResult, len(mutations))
	for i := range results {
		results[i] = replayResult{Replaytest: 3, First: "a difference"}
	}
	results[0].Plain = 1
	var out bytes.Buffer
	require.NoError(t, printTable(&out, 5, results))
	require.Contains(t, out.String(), fmt.Sprintf("mutation: replaytest=%d/%d plain=1/%d\n", len(mutations), len(mutations), len(mutations)))
	results[9] = replayResult{}
	require.ErrorContains(t, printTable(&out, 5, results), "replaytest missed the mutation")
	require.Contains(t, out.String(), fmt.Sprintf("mutation: replaytest=%d/%d plain=1/%d\n", len(mutations)-1, len(mutations), len(mutations)))
}
