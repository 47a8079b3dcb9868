package main

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplaytestFindsEveryMutation(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the workflows eleven times")
	}
	var table bytes.Buffer
	err := prove(t.Context(), "../..", cmp.Or(os.Getenv("HISTORIES"), "../testdata/histories"), &table)
	t.Log("\n" + table.String())
	require.NoError(t, err)
}

func TestAMutationThatChangesNothingIsAnError(t *testing.T) {
	module := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(module, "source.go"), []byte("package source // twice, twice"), 0o600))
	for old, times := range map[string]string{"never": "0 times", "twice": "2 times"} {
		m := mutation{name: old, file: "source.go", old: old, changed: "once"}
		_, err := m.overlay(module, t.TempDir())
		require.ErrorContains(t, err, "source.go has "+times+" what is to be changed: want it once")
	}
	m := mutation{file: "source.go", old: "package", changed: "module"}
	_, err := m.overlay(module, t.TempDir())
	require.NoError(t, err)
}

func TestAMissedMutationIsAnError(t *testing.T) {
	results := make([]caught, len(mutations))
	for i := range results {
		results[i] = caught{Replaytest: 3, First: "a difference"}
	}
	results[0].Plain = 1
	var out bytes.Buffer
	require.NoError(t, table(&out, 5, results))
	require.Contains(t, out.String(), "mutation: replaytest=10/10 plain=1/10\n")
	results[9] = caught{}
	require.ErrorContains(t, table(&out, 5, results), "replaytest does not find")
	require.Contains(t, out.String(), "mutation: replaytest=9/10 plain=1/10\n")
}
