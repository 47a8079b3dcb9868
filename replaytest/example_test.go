package replaytest_test

import (
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/florinpay/florin/replaytest"
)

// greet is changed since testdata/greet.json was recorded: it greeted with "Hello, " then.
func greet(ctx workflow.Context, name string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	return workflow.ExecuteActivity(ctx, "Send", "Good day, "+name).Get(ctx, nil)
}

func register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(greet, workflow.RegisterOptions{Name: "Greet"})
}

// The SDK's own replayer accepts this history, because the order of the commands is the same.
func ExampleCheck() {
	history, err := replaytest.Read("testdata/greet.json")
	if err != nil {
		panic(err)
	}
	differences, err := replaytest.Check(history, replaytest.Options{Register: register})
	if err != nil {
		panic(err)
	}
	for _, d := range differences {
		fmt.Println(d)
	}
	// Output: event 5 ActivityTaskScheduled: input[0]: was "Hello, Ada", is "Good day, Ada"
}

// A test that replays all histories in a directory.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestHistoriesReplay(t *testing.T)
		replaytest.Run(t, "testdata/histories", replaytest.Options{Register: register})
	}
}
