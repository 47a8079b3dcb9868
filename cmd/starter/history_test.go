package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/temporalproto"

	"github.com/florinpay/florin/internal/histories"
	"github.com/florinpay/florin/replaytest"
)

const corpus = "../../workflows/testdata/histories"

// succeeded is the recorded history of a charge that was started without waiting for its outcome, and succeeded.
var succeeded = filepath.Join(recorded(), "charge-succeeded-asynchronously"+histories.Suffix)

// recorded returns the directory of the recorded histories: the one in the environment variable HISTORIES, or corpus.
func recorded() string {
	if dir := os.Getenv("HISTORIES"); dir != "" {
		return dir
	}
	return corpus
}

func TestReplayWithoutDifferencesExitsWith0(t *testing.T) {
	stdout, _, err := execute(t, "", "history", "replay", succeeded)
	require.NoError(t, err)
	require.Equal(t, "histories: replayed=1 differ=0\n", stdout)

	stdout, _, err = execute(t, "", "history", "replay", recorded())
	require.NoError(t, err)
	require.Regexp(t, `^histories: replayed=\d\d+ differ=0\n$`, stdout)

	stdout, _, err = execute(t, "", "history", "replay", "--json", succeeded, recorded())
	require.NoError(t, err)
	require.Empty(t, stdout)
}

// The changed history stands for older code that used another task queue and another timeout.
func TestReplayWithDifferencesExitsWith1AndPrintsThem(t *testing.T) {
	h, err := replaytest.Read(succeeded)
	require.NoError(t, err)
	for _, event := range h.GetEvents() {
		if scheduled := event.GetActivityTaskScheduledEventAttributes(); scheduled != nil {
			scheduled.TaskQueue.Name = "processor-other"
			scheduled.GetStartToCloseTimeout().Seconds++
		}
	}
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "other.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))

	stdout, _, err := execute(t, "", "history", "replay", path, succeeded)
	require.EqualError(t, err, "1 of 2 histories differ: this build issues other commands than the recorded ones")
	require.Equal(t, exitError, exitCode(err))
	require.Equal(t, path+`: event 6 ActivityTaskScheduled: startToCloseTimeout: was "3s", is "2s"`+"\n"+
		path+`: event 6 ActivityTaskScheduled: taskQueue.name: was "processor-other", is "processor-simulator"`+"\n", stdout)

	stdout, _, err = execute(t, "", "history", "replay", "--json", path)
	require.Equal(t, exitError, exitCode(err))
	var first struct {
		History string
		replaytest.Difference
	}
	require.NoError(t, json.NewDecoder(strings.NewReader(stdout)).Decode(&first))
	require.Equal(t, path, first.History)
	require.Equal(t, "startToCloseTimeout", first.Field)
}

func TestInvalidUsageOfHistoryExitsWith2(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"replay of nothing": {args: []string{"replay"}, want: "name a directory or files"},
		"replay of files and a query": {args: []string{"replay", succeeded, "--query", "x"},
			want: "use either files, or --query"},
		"replay without a key": {args: []string{"replay", "--merchant", "acme"},
			want: "use either --merchant and --key, or --query"},
		"missing file":                {args: []string{"replay", "/nowhere"}, want: "/nowhere"},
		"file that is not a history":  {args: []string{"replay", "history_test.go"}, want: "history_test.go: not a history"},
		"directory without histories": {args: []string{"replay", t.TempDir()}, want: "no histories in"},
		"export of nothing":           {args: []string{"export"}, want: "use either --merchant and --key, or --query"},
		"export by key and by query": {args: []string{"export", "--merchant", "acme", "--key", "x", "--query", "y"},
			want: "use either --merchant and --key, or --query"},
		"refund with a query": {args: []string{"export", "--refund", "--query", "y"},
			want: "use either --merchant and --key, or --query"},
		"negative limit": {args: []string{"export", "--query", "y", "--limit", "-1"},
			want: "--limit -1: must not be negative"},
		"positional argument": {args: []string{"export", "order-1"}, want: `"order-1" is neither a command nor a flag`},
		"unknown command":     {args: []string{"import"}, want: `"import" is neither a command nor a flag`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, "", append([]string{"history"}, tt.args...)...)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestHistoriesOfAServerNeedAConnection(t *testing.T) {
	for _, args := range [][]string{
		{"history", "replay", "--query", `ExecutionStatus="Running"`},
		{"history", "export", "--merchant", "acme", "--key", "order-1", "--dir", t.TempDir()},
	} {
		_, _, err := execute(t, "", args...)
		require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1")
		require.Equal(t, exitError, exitCode(err))
	}
}
