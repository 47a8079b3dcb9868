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

// succeeded is the recorded history of a charge that succeeded, while nobody waited for it.
var succeeded = filepath.Join(recorded(), "charge-succeeded-asynchronously"+histories.Suffix)

// recorded is the directory of the recorded histories; HISTORIES is another one.
func recorded() string {
	if dir := os.Getenv("HISTORIES"); dir != "" {
		return dir
	}
	return corpus
}

func TestHistoriesThatReplayExitWith0(t *testing.T) {
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

// The history of other code, which asked for another queue and another timeout.
func TestHistoriesThatDifferExitWith1AndNameEachDifference(t *testing.T) {
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
	require.EqualError(t, err, "1 of 2 histories differ: this code would do otherwise than it was recorded")
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

func TestMistakesAroundHistoriesExitWith2(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a replay of nothing":         {[]string{"replay"}, "want a directory or files"},
		"files and a query":           {[]string{"replay", succeeded, "--query", "x"}, "want files, or --query"},
		"a replay without a key":      {[]string{"replay", "--merchant", "acme"}, "want --merchant and --key, or --query"},
		"no such file":                {[]string{"replay", "/nowhere"}, "/nowhere"},
		"no history":                  {[]string{"replay", "history_test.go"}, "history_test.go: not a history"},
		"no histories":                {[]string{"replay", t.TempDir()}, "no histories in"},
		"an export of nothing":        {[]string{"export"}, "want --merchant and --key, or --query"},
		"an export by both":           {[]string{"export", "--merchant", "acme", "--key", "x", "--query", "y"}, "want --merchant and --key, or --query"},
		"a refund's key with a query": {[]string{"export", "--refund", "--query", "y"}, "want --merchant and --key, or --query"},
		"a limit below 0":             {[]string{"export", "--query", "y", "--limit", "-1"}, "--limit -1: must not be below 0"},
		"an argument":                 {[]string{"export", "order-1"}, `"order-1" is neither a command nor a flag`},
		"a third command":             {[]string{"import"}, `"import" is neither a command nor a flag`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, "", append([]string{"history"}, tt.args...)...)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, exitUsage, exitCode(err))
		})
	}
}

func TestHistoriesOfAServerNeedTheServer(t *testing.T) {
	for _, args := range [][]string{
		{"history", "replay", "--query", `ExecutionStatus="Running"`},
		{"history", "export", "--merchant", "acme", "--key", "order-1", "--dir", t.TempDir()},
	} {
		_, _, err := execute(t, "", args...)
		require.ErrorContains(t, err, "no Temporal server answers at 127.0.0.1:1")
		require.Equal(t, exitError, exitCode(err))
	}
}
