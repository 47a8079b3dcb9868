package replaytest_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/florinpay/florin/replaytest"
)

// order and receipt are what the workflow Sell is asked for and returns.
type (
	order struct {
		Key    string `json:"key"`
		Amount int64  `json:"amount"`
	}
	receipt struct {
		Status string `json:"status"`
		Amount int64  `json:"amount"`
	}
)

// seller is the workflow Sell. Its fields are what the tests change of it.
type seller struct {
	activity, queue    string
	amount             int64
	attempt, all       time.Duration
	retry              *temporal.RetryPolicy
	local, stored      string
	given              func(receipt) any // what the local activity is given
	pause              time.Duration
	status             string
	memo, child, told  string
	answer, refusal    string
	result             receipt
	failure            error
	first              func(workflow.Context)
	paid               func(workflow.Context) error // ends it there
	summary            string
	withoutPause, more bool
}

// asRecorded is the seller that made the histories.
func asRecorded() *seller {
	return &seller{
		activity: "Pay", queue: "payments", amount: 1250, attempt: 30 * time.Second, all: 15 * time.Minute,
		retry: &temporal.RetryPolicy{BackoffCoefficient: 1.5, NonRetryableErrorTypes: []string{"Declined"}},
		local: "Store", stored: "begun", given: func(r receipt) any { return r }, pause: time.Minute, status: "sold", memo: "thanks", child: "Ship", told: "sold", answer: "1250 in all", refusal: "Closed",
		result: receipt{"sold", 1250}, first: func(workflow.Context) {}, paid: func(workflow.Context) error { return nil },
	}
}

func (s *seller) sell(ctx workflow.Context, o order) (receipt, error) {
	if err := workflow.SetUpdateHandler(ctx, "price", func(_ workflow.Context, say string) (string, error) {
		if say != "please" {
			return "", temporal.NewApplicationError("say please", s.refusal)
		}
		return s.answer, nil
	}); err != nil {
		return receipt{}, err
	}
	s.first(ctx)
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Second, Summary: s.summary})
	if err := workflow.ExecuteLocalActivity(local, s.local, s.given(receipt{s.stored, o.Amount})).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	key := temporal.NewSearchAttributeKeyKeyword("Status")
	gone := temporal.NewSearchAttributeKeyInt64("Gone")
	if err := workflow.UpsertTypedSearchAttributes(ctx, key.ValueSet(s.status), gone.ValueUnset()); err != nil {
		return receipt{}, err
	}
	paying := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: s.queue, StartToCloseTimeout: s.attempt, ScheduleToCloseTimeout: s.all, RetryPolicy: s.retry, Summary: s.summary,
	})
	if err := workflow.ExecuteActivity(paying, s.activity, order{o.Key, s.amount}).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	if err := s.paid(ctx); err != nil {
		return receipt{}, err
	}
	if s.more {
		if err := workflow.ExecuteActivity(paying, "Thank").Get(ctx, nil); err != nil {
			return receipt{}, err
		}
	}
	if !s.withoutPause {
		if err := workflow.NewTimerWithOptions(ctx, s.pause, workflow.TimerOptions{Summary: s.summary}).Get(ctx, nil); err != nil {
			return receipt{}, err
		}
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"note": s.memo}); err != nil {
		return receipt{}, err
	}
	shipping := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: "ship/1", TaskQueue: "shipping"})
	if err := workflow.ExecuteChildWorkflow(shipping, s.child, o.Key).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	if err := workflow.SignalExternalWorkflow(ctx, "till/1", "", "sale", s.told).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	return s.result, s.failure
}

func (s *seller) register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(s.sell, workflow.RegisterOptions{Name: "Sell"})
}

func check(t *testing.T, lines string, s *seller) []string {
	t.Helper()
	differences, err := replaytest.Check(script(t, lines), replaytest.Options{
		Register: s.register, Echoes: []replaytest.Echo{{Activity: "Store"}},
	})
	require.NoError(t, err)
	var found []string
	for _, d := range differences {
		found = append(found, d.String())
	}
	return found
}

func TestEveryChangeThatMattersIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*seller)
		want   []string
	}{
		"the amount": {func(s *seller) { s.amount++ }, []string{
			`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1251`,
		}},
		"another activity": {func(s *seller) { s.activity = "Lend" }, []string{
			`event 7 ActivityTaskScheduled: activityType.name: was "Pay", is "Lend"`, sdk,
		}},
		"the task queue": {func(s *seller) { s.queue = "sales" }, []string{
			`event 7 ActivityTaskScheduled: taskQueue.name: was "payments", is "sales"`,
		}},
		"the workflow's own task queue": {func(s *seller) { s.queue = "" }, []string{
			`event 7 ActivityTaskScheduled: taskQueue.name: was "payments", is "sales"`,
		}},
		"a timeout": {func(s *seller) { s.attempt = time.Minute }, []string{
			`event 7 ActivityTaskScheduled: startToCloseTimeout: was "30s", is "1m0s"`,
		}},
		"a timeout that the server fills in": {func(s *seller) { s.attempt = 0 }, []string{
			`event 7 ActivityTaskScheduled: startToCloseTimeout: was "30s", is "15m0s"`,
		}},
		"a timeout that is gone": {func(s *seller) { s.all = 0 }, []string{
			`event 7 ActivityTaskScheduled: scheduleToCloseTimeout: was "15m0s", is nothing`,
			`event 7 ActivityTaskScheduled: scheduleToStartTimeout: was "15m0s", is nothing`,
		}},
		"the retry policy": {func(s *seller) { s.retry = nil }, []string{
			`event 7 ActivityTaskScheduled: retryPolicy.backoffCoefficient: was 1.5, is 2`,
			`event 7 ActivityTaskScheduled: retryPolicy.nonRetryableErrorTypes[0]: was "Declined", is nothing`,
		}},
		"what a local activity is given": {func(s *seller) { s.stored = "started" }, []string{
			`event 5 MarkerRecorded: Store.status: was "begun", is "started"`,
		}},
		"another local activity": {func(s *seller) { s.local = "Burn" }, []string{`event 5 MarkerRecorded: was Store, is Burn`, sdk}},
		"a search attribute": {func(s *seller) { s.status = "selling" }, []string{
			`event 6 UpsertWorkflowSearchAttributes: searchAttributes.indexedFields.Status: was "sold", is "selling"`,
		}},
		"how long it waits": {func(s *seller) { s.pause = time.Hour }, []string{
			`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`,
		}},
		"a timer less": {func(s *seller) { s.withoutPause = true }, []string{
			`event 11 WorkflowTaskStarted: was nothing, is StartChildWorkflowExecutionInitiated Ship`,
			`event 11 WorkflowTaskStarted: was nothing, is WorkflowPropertiesModified {"upsertedMemo":{"fields":{"note":"thanks"}}}`,
			`event 15 TimerStarted: was 1m0s, is nothing`, sdk,
		}},
		"an activity more": {func(s *seller) { s.more = true }, []string{
			`event 11 WorkflowTaskStarted: was nothing, is ActivityTaskScheduled Thank`,
			`event 15 TimerStarted: was 1m0s, is nothing`, sdk,
		}},
		"what an update answers": {func(s *seller) { s.answer = "1251 in all" }, []string{
			`event 14 WorkflowExecutionUpdateCompleted: outcome.success[0]: was "1250 in all", is "1251 in all"`,
		}},
		"the memo": {func(s *seller) { s.memo = "bye" }, []string{
			`event 20 WorkflowPropertiesModified: upsertedMemo.fields.note: was "thanks", is "bye"`,
		}},
		"another child workflow": {func(s *seller) { s.child = "Drop" }, []string{
			`event 21 StartChildWorkflowExecutionInitiated: workflowType.name: was "Ship", is "Drop"`, sdk,
		}},
		"what another workflow is told": {func(s *seller) { s.told = "given away" }, []string{
			`event 27 SignalExternalWorkflowExecutionInitiated: input[0]: was "sold", is "given away"`,
		}},
		"the result": {func(s *seller) { s.result = receipt{"given away", 0} }, []string{
			`event 32 WorkflowExecutionCompleted: result[0].amount: was 1250, is 0`,
			`event 32 WorkflowExecutionCompleted: result[0].status: was "sold", is "given away"`,
		}},
		"a failure in place of a result": {func(s *seller) { s.failure = temporal.NewApplicationError("no", "No") }, []string{
			`event 32 WorkflowExecutionCompleted: was WorkflowExecutionCompleted {"result":[{"amount":1250,"status":"sold"}]}, is WorkflowExecutionFailed {"failure":{"applicationFailureInfo":{"type":"No"},"message":"no","source":"GoSDK"}}`, sdk,
		}},
		"several things at once": {func(s *seller) { s.amount, s.queue, s.pause = 1, "sales", time.Hour }, []string{
			`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`,
			`event 7 ActivityTaskScheduled: taskQueue.name: was "payments", is "sales"`,
			`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := asRecorded()
			tt.change(s)
			requireFound(t, tt.want, check(t, sold, s))
		})
	}
}

// sdk stands for what the SDK's replayer says.
const sdk = "the SDK's replay: "

func requireFound(t *testing.T, want, found []string) {
	t.Helper()
	for i, line := range found {
		if strings.HasPrefix(line, sdk) {
			found[i] = sdk
		}
	}
	require.Equal(t, want, found)
}

func TestAHarmlessChangeIsNotReported(t *testing.T) {
	for name, change := range map[string]func(*seller){
		"none":            func(*seller) {},
		"another summary": func(s *seller) { s.summary = "for people" },
		"a line in the log": func(s *seller) {
			s.first = func(ctx workflow.Context) { workflow.GetLogger(ctx).Info("begun") }
		},
		"details for people": func(s *seller) {
			s.first = func(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, "selling") }
		},
		"a version gate": func(s *seller) {
			s.first = func(ctx workflow.Context) {
				if workflow.GetVersion(ctx, "more", workflow.DefaultVersion, 1) == 1 {
					s.more = true
				}
			}
		},
		"a query": func(s *seller) {
			s.first = func(ctx workflow.Context) {
				_ = workflow.SetQueryHandler(ctx, "how", func() (string, error) { return "well", nil })
			}
		},
		"another message of an update's error, which is not in this history": func(s *seller) { s.refusal = "Rude" },
		"a timeout that the server would fill in": func(s *seller) {
			s.first = func(workflow.Context) {
				s.retry.InitialInterval, s.retry.MaximumInterval = time.Second, 100*time.Second
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := asRecorded()
			change(s)
			require.Empty(t, check(t, sold, s))
		})
	}
}

// What the SDK refuses by itself, as a child workflow of a cancelled context, leaves nothing in a history.
func TestACallThatMakesNoEventIsNotMissed(t *testing.T) {
	s := asRecorded()
	s.paid = func(ctx workflow.Context) error {
		ctx, cancel := workflow.WithCancel(ctx)
		cancel()
		workflow.ExecuteChildWorkflow(ctx, "Advertise")
		return nil
	}
	require.Empty(t, check(t, begun, s))
	s.pause = 2 * time.Minute
	require.Equal(t, []string{`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "2m0s"`}, check(t, begun, s))
}

// What is called off in the workflow task in which it was asked for does make its events.
func TestATimerThatIsCalledOffAtOnceIsCompared(t *testing.T) {
	s := asRecorded()
	long := time.Hour
	s.paid = func(ctx workflow.Context) error {
		short, cancel := workflow.WithCancel(ctx)
		workflow.NewTimer(short, long)
		cancel()
		return nil
	}
	lines := paid + `
	>TimerStarted {"timerId":"13","startToFireTimeout":"3600s"}
	>TimerCanceled {"timerId":"13","startedEventId":"13"}
	>TimerStarted {"timerId":"15","startToFireTimeout":"60s"}`
	require.Empty(t, check(t, lines, s))
	long = 2 * time.Hour
	require.Equal(t, []string{`event 13 TimerStarted: startToFireTimeout: was "1h0m0s", is "2h0m0s"`}, check(t, lines, s))
}

func TestEveryEndIsCompared(t *testing.T) {
	soldOut := func(left int) func(workflow.Context) error {
		return func(workflow.Context) error {
			return temporal.NewNonRetryableApplicationError("sold out", "SoldOut", nil, map[string]int{"left": left})
		}
	}
	again := func(key string) func(workflow.Context) error {
		return func(ctx workflow.Context) error { return workflow.NewContinueAsNewError(ctx, "Sell", order{key, 1250}) }
	}
	rude := func(s *seller) { s.refusal = "Rude" }
	for name, tt := range map[string]struct {
		lines    string
		as, than func(*seller) // the code as it was, and changed
		want     []string
	}{
		"failed": {failed, func(s *seller) { s.paid = soldOut(0) }, func(s *seller) { s.paid = soldOut(3) }, []string{
			`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.details[0].left: was 0, is 3`,
		}},
		"failed otherwise": {failed, func(s *seller) { s.paid = soldOut(0) }, func(s *seller) {
			s.paid = func(workflow.Context) error { return temporal.NewApplicationError("gone", "Gone") }
		}, []string{
			`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.details[0].left: was 0, is nothing`,
			`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.nonRetryable: was true, is nothing`,
			`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.type: was "SoldOut", is "Gone"`,
			`event 13 WorkflowExecutionFailed: failure.message: was "sold out", is "gone"`,
		}},
		"failed, and now goes on": {failed, func(s *seller) { s.paid = soldOut(0) }, func(*seller) {}, []string{
			`event 11 WorkflowTaskStarted: was nothing, is TimerStarted 1m0s`, sdk,
		}},
		"continued as new": {continued, func(s *seller) { s.paid = again("key-2") }, func(s *seller) { s.paid = again("key-1") }, []string{
			`event 13 WorkflowExecutionContinuedAsNew: input[0].key: was "key-2", is "key-1"`,
		}},
		"cancelled": {cancelled, func(*seller) {}, func(s *seller) { s.pause = time.Hour }, []string{
			`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`,
		}},
		"still open":         {begun, func(*seller) {}, func(s *seller) { s.amount = 1 }, []string{`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`}},
		"terminated":         {terminated, func(*seller) {}, func(s *seller) { s.amount = 1 }, []string{`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`}},
		"terminated at work": {terminatedAtWork, func(*seller) {}, func(s *seller) { s.amount = 1 }, []string{`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`}},
		"timed out":          {timedOut, func(*seller) {}, func(s *seller) { s.amount = 1 }, []string{`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`}},
		"still open, and now ends": {paid, func(s *seller) {
			s.paid = func(ctx workflow.Context) error { return workflow.Await(ctx, func() bool { return false }) }
		},
			func(s *seller) { s.paid = soldOut(0) }, []string{`event 11 WorkflowTaskStarted: was nothing, is WorkflowExecutionFailed`}},
		"an update that failed": {refused, func(*seller) {}, rude, []string{
			`event 14 WorkflowExecutionUpdateCompleted: outcome.failure.applicationFailureInfo.type: was "Closed", is "Rude"`,
		}},
		"reset": {reset, func(*seller) {}, func(s *seller) { s.pause = time.Hour }, []string{
			`event 16 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`,
		}},
		"reset, before that": {reset, func(*seller) {}, func(s *seller) { s.amount = 1 }, []string{
			`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			was := asRecorded()
			tt.as(was)
			require.Empty(t, check(t, tt.lines, was))
			is := asRecorded()
			tt.than(is)
			requireFound(t, tt.want, check(t, tt.lines, is))
		})
	}
}

// The SDK replays the whole history of a workflow that was reset as its first run: code that asks would hear the wrong id.
func TestEachPartOfAResetWorkflowIsReplayedAsItsRun(t *testing.T) {
	s := asRecorded()
	s.first = func(ctx workflow.Context) {
		s.amount, s.pause = 1250, time.Hour
		if workflow.GetInfo(ctx).WorkflowExecution.RunID == "run-9" {
			s.amount, s.pause = 1, time.Minute
		}
	}
	require.Empty(t, check(t, reset, s))
}

func TestAHistoryInWhichNothingWasDoneHasNoDifferences(t *testing.T) {
	first, _, _ := strings.Cut(strings.TrimSpace(sold), "\n")
	require.Empty(t, check(t, first, asRecorded()))
	require.Empty(t, check(t, first+`
		WorkflowTaskScheduled
		WorkflowTaskStarted {"scheduledEventId":"2"}
		WorkflowExecutionTerminated {"reason":"a test"}`, asRecorded()))
}

func TestTheHistoryStaysAsItIs(t *testing.T) {
	for _, lines := range []string{sold, reset} {
		h := script(t, lines)
		_, err := replaytest.Check(h, replaytest.Options{Register: asRecorded().register})
		require.NoError(t, err)
		require.True(t, proto.Equal(script(t, lines), h))
	}
}

func TestAnEchoIsComparedWhereTheResultRepeatsIt(t *testing.T) {
	lines := strings.Replace(begun, `"result":[{"status":"begun","amount":1250,"at":"08:00"}]`,
		`"result":[{"stored":{"status":"begun","amount":1250,"at":"08:00"}}]`, 1)
	require.NotEqual(t, begun, lines)
	s := asRecorded()
	s.stored = "started"
	for name, tt := range map[string]struct {
		echo replaytest.Echo
		want []string
	}{
		"within":           {replaytest.Echo{Activity: "Store", Within: "stored"}, []string{`event 5 MarkerRecorded: Store.status: was "begun", is "started"`}},
		"except":           {replaytest.Echo{Activity: "Store", Within: "stored", Except: []string{"status", "no.such.field"}}, nil},
		"another activity": {replaytest.Echo{Activity: "Burn"}, nil},
		"not there": {replaytest.Echo{Activity: "Store"}, []string{
			`event 5 MarkerRecorded: Store.amount: was nothing, is 1250`, `event 5 MarkerRecorded: Store.status: was nothing, is "started"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			differences, err := replaytest.Check(script(t, lines), replaytest.Options{Register: s.register, Echoes: []replaytest.Echo{tt.echo}})
			require.NoError(t, err)
			var found []string
			for _, d := range differences {
				found = append(found, d.String())
			}
			require.Equal(t, tt.want, found)
		})
	}
}

func TestAnEchoMayBeNoObject(t *testing.T) {
	lines := strings.Replace(begun, `"result":[{"status":"begun","amount":1250,"at":"08:00"}]`, `"result":["begun"]`, 1)
	s := asRecorded()
	s.given = func(receipt) any { return "started" }
	options := replaytest.Options{Register: s.register, Echoes: []replaytest.Echo{{Activity: "Store"}}}
	differences, err := replaytest.Check(script(t, lines), options)
	require.NoError(t, err)
	require.Equal(t, []replaytest.Difference{{EventID: 5, EventType: "MarkerRecorded", Field: "Store", Was: `"begun"`, Is: `"started"`}}, differences)
	s.given = func(receipt) any { return nil }
	differences, err = replaytest.Check(script(t, lines), options)
	require.NoError(t, err)
	require.Empty(t, differences, "it says nothing")
}

func TestWhatCannotBeReplayedIsAnError(t *testing.T) {
	h := script(t, sold)
	_, err := replaytest.Check(h, replaytest.Options{})
	require.ErrorContains(t, err, "options without Register")
	_, err = replaytest.Check(h, replaytest.Options{Register: func(worker.WorkflowRegistry) {}})
	require.ErrorContains(t, err, "Sell")
	h.Events = h.GetEvents()[1:]
	_, err = replaytest.Check(h, replaytest.Options{Register: asRecorded().register})
	require.ErrorContains(t, err, "want WorkflowExecutionStarted as its first event")
}

// A code change that panics, as one that a bug makes, is a difference like any other.
func TestAPanicIsADifference(t *testing.T) {
	s := asRecorded()
	s.first = func(workflow.Context) { panic("a bug") }
	found := check(t, sold, s)
	require.Contains(t, found[len(found)-1], "a bug")
}

func TestPayloadsAreDecodedByTheConverterOfTheWorker(t *testing.T) {
	s := asRecorded()
	s.amount = 9007199254740993 // no float64 has it
	zipped := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	differences, err := replaytest.Check(script(t, sold), replaytest.Options{
		Register: s.register, Worker: worker.WorkflowReplayerOptions{DataConverter: zipped},
	})
	require.NoError(t, err)
	require.Equal(t, []replaytest.Difference{{
		EventID: 7, EventType: "ActivityTaskScheduled", Field: "input[0].amount", Was: "1250", Is: "9007199254740993",
	}}, differences)
}

// fakeT is a test that writes down what it is told.
type fakeT struct{ errors []string }

func (*fakeT) Helper() {}

func (f *fakeT) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeT) Run(_ string, test func(*fakeT)) bool {
	test(f)
	return len(f.errors) == 0
}

func TestRunReplaysEveryFile(t *testing.T) {
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{"events": []any{}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no history"), 0o600))
	options := replaytest.Options{Register: asRecorded().register}

	var empty fakeT
	replaytest.Run(&empty, dir, options)
	require.Equal(t, []string{"no histories in " + dir + ": want *.json or *.json.gz"}, empty.errors)

	write(t, filepath.Join(dir, "open.json"), begun)
	write(t, filepath.Join(dir, "sold.json.gz"), sold)
	var good fakeT
	replaytest.Run(&good, dir, options)
	require.Empty(t, good.errors)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.json"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.json.gz"), []byte("{"), 0o600))
	changed := asRecorded()
	changed.pause = time.Hour
	var bad fakeT
	replaytest.Run(&bad, dir, replaytest.Options{Register: changed.register})
	require.Len(t, bad.errors, 4)
	require.Contains(t, bad.errors[0], "broken.json.gz: ")
	require.Contains(t, bad.errors[1], "empty.json: not a whole history")
	for i, name := range []string{"open.json", "sold.json.gz"} {
		require.Equal(t, filepath.Join(dir, name)+`: event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`, bad.errors[2+i])
	}
}

func write(t *testing.T, path, lines string) {
	t.Helper()
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(script(t, lines))
	require.NoError(t, err)
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	if strings.HasSuffix(path, ".gz") {
		zip := gzip.NewWriter(file)
		_, err = zip.Write(text)
		require.NoError(t, err)
		require.NoError(t, zip.Close())
		return
	}
	_, err = file.Write(text)
	require.NoError(t, err)
}
