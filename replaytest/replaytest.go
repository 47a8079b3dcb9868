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

// Options configure a replay.
type Options struct {
	// Register registers the workflows under the names that the histories contain. It is required. It is called once for each
	// run that is replayed, with a new registry each time.
	Register func(worker.WorkflowRegistry)
	// Worker holds the options that the production worker uses: data converter, failure converter, interceptors and so on. The
	// zero value has the SDK's defaults.
	Worker worker.WorkflowReplayerOptions
	// Echoes are the local activities whose input is compared. See [Echo].
	Echoes []Echo
}

// Echo describes a local activity whose result repeats its first argument, for example one that stores a record and returns the
// stored record. A history does not contain the input of local activities. Instead, the recorded result is compared with the
// argument that the code passes to the activity during the replay. An activity that failed is not compared.
//
// Every field of the argument must be in the result, except for the Ignored ones. Further fields of the result are ignored.
type Echo struct {
	// Activity is the type name of the local activity.
	Activity string
	// ResultField names the field of the result that repeats the argument. If it is empty, the result itself does.
	ResultField string
	// Ignored are the fields of the argument that are not compared, such as updated_at or failure.message, because the
	// activity sets or changes them.
	Ignored []string
}

// tester is implemented by *testing.T. This package does not import package testing, because commands use Check.
type tester[T any] interface {
	Helper()
	Errorf(format string, args ...any)
	Run(name string, f func(T)) bool
}

// Run replays every history that [Files] finds in dir. Each is a subtest, named after its file, that reports every difference as
// an error. Run fails if dir contains no history, because then nothing would be tested.
//
// T is *testing.T.
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

// Check replays the history and returns the differences, in the order of the events; none if the code does what was recorded. It
// returns an error if the history cannot be replayed: it does not begin with WorkflowExecutionStarted, its workflow is not
// registered, or the options are invalid. A panic of the workflow is a difference, not an error. h is not modified.
func Check(h *historypb.History, o Options) ([]Difference, error) {
	if o.Register == nil {
		return nil, errors.New("options without Register: set it to the function that registers the workflows")
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

// check replays one run and compares it with its history.
func (o Options) check(r run) ([]Difference, error) {
	options := o.Worker
	if options.DataConverter == nil {
		options.DataConverter = converter.GetDefaultDataConverter()
	}
	if options.FailureConverter == nil {
		options.FailureConverter = temporal.GetDefaultFailureConverter()
	}
	rec := &recorder{converter: options.DataConverter, failures: options.FailureConverter, updates: map[string]ending{}}
	// The last interceptor is the closest to the SDK: it sees each call as the other interceptors changed it.
	options.Interceptors = append(slices.Clone(options.Interceptors), interceptor.WorkerInterceptor(rec))
	replayer, err := worker.NewWorkflowReplayerWithOptions(options)
	if err != nil {
		return nil, fmt.Errorf("options.Worker: %w", err)
	}
	o.Register(replayer)
	// The SDK modifies the events that it replays: it writes search attributes into them. So it gets a copy.
	history, ok := proto.Clone(r.history).(*historypb.History)
	if !ok {
		return nil, errors.New("the clone of a history is not a history")
	}
	failure := replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: r.execution})
	if failure != nil && !rec.started {
		return nil, failure
	}
	c := comparison{run: r, replayed: rec, converter: options.DataConverter, echoes: o.Echoes}
	return c.differences(failure), nil
}
