package replaytest

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"
)

// Options say what is replayed, and how.
type Options struct {
	// Register makes the workflows known under the names that the histories have. Required.
	Register func(worker.WorkflowRegistry)
	// Worker has what the worker has of it: data converter, failure converter, interceptors and so on.
	Worker worker.WorkflowReplayerOptions
	// Echoes are the local activities whose result tells their input.
	Echoes []Echo
}

// Echo is a local activity that returns what it was given, as one that stores a record and returns what is stored. A history
// has no input of local activities: this result is compared with what the code gives the activity now. The result has to have
// every field of the first argument, but for those that the activity sets itself.
type Echo struct {
	// Activity is the type of the local activity.
	Activity string
	// Within is the field of the result that repeats the argument. Empty is the result itself.
	Within string
	// Except are the fields that the result need not repeat, such as updated_at or failure.message.
	Except []string
}

// tester is *testing.T, which this package does not import: commands use Check.
type tester[T any] interface {
	Helper()
	Errorf(format string, args ...any)
	Run(name string, f func(T)) bool
}

// Run replays every history in the directory, each as a subtest that fails with all differences, one to a line. A directory
// without a history fails: nothing would be tested.
func Run[T tester[T]](t T, dir string, o Options) {
	t.Helper()
	paths, err := Files(dir)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t T) {
			t.Helper()
			h, err := Read(path)
			if err != nil {
				t.Errorf("%v", err)
				return
			}
			differences, err := Check(h, o)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, d := range differences {
				t.Errorf("%s: %s", path, d)
			}
		})
	}
}

// Check replays one history. The error says why that could not be done at all, as for a workflow that is not registered.
func Check(h *historypb.History, o Options) ([]Difference, error) {
	if o.Register == nil {
		return nil, errors.New("options without Register: want the function that registers the workflows")
	}
	runs, err := runsOf(h)
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, r := range runs {
		differences, err := o.check(r)
		if err != nil {
			return nil, err
		}
		all = append(all, differences...)
	}
	return all, nil
}

// check replays one run and compares what it did.
func (o Options) check(r run) ([]Difference, error) {
	options := o.Worker
	if options.DataConverter == nil {
		options.DataConverter = converter.GetDefaultDataConverter()
	}
	if options.FailureConverter == nil {
		options.FailureConverter = temporal.GetDefaultFailureConverter()
	}
	did := &recorder{converter: options.DataConverter, failures: options.FailureConverter, updates: map[string]ending{}}
	// The last one is next to the SDK: it sees what the others make of a call.
	options.Interceptors = append(slices.Clone(options.Interceptors), interceptor.WorkerInterceptor(did))
	replayer, err := worker.NewWorkflowReplayerWithOptions(options)
	if err != nil {
		return nil, fmt.Errorf("options.Worker: %w", err)
	}
	o.Register(replayer)
	// The SDK writes search attributes into the events that it replays.
	replayed, ok := proto.Clone(r.history).(*historypb.History)
	if !ok {
		return nil, errors.New("not a history")
	}
	failure := replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), replayed,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: r.execution})
	if failure != nil && !did.began {
		return nil, failure
	}
	c := comparison{run: r, did: did, converter: options.DataConverter, echoes: o.Echoes}
	return c.differences(failure), nil
}
