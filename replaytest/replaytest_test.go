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

// order and receipt are the input and the result of the workflow Sell.
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

// seller implements the workflow Sell. The tests change its fields.
type seller struct {
	activity, queue           string
	amount                    int64
	startToClose              time.Duration
	scheduleToClose           time.Duration
	retry                     *temporal.RetryPolicy
	localActivity, stored     string
	localArgument             func(receipt) any // returns the argument of the local activity
	pause                     time.Duration
	searchAttribute           string
	memo, child, signal       string
	updateResult, updateError string
	result                    receipt
	failure                   error
	onStart                   func(workflow.Context)
	onPaid                    func(workflow.Context) error // an error ends the workflow
	summary                   string
	skipPause, secondActivity bool
}

// asRecorded returns the seller that the histories were recorded with.
func asRecorded() *seller {
	return &seller{
		activity: "Pay", queue: "payments", amount: 1250, startToClose: 30 * time.Second, scheduleToClose: 15 * time.Minute,
		retry:         &temporal.RetryPolicy{BackoffCoefficient: 1.5, NonRetryableErrorTypes: []string{"Declined"}},
		localActivity: "Store", stored: "begun", localArgument: func(r receipt) any { return r }, pause: time.Minute,
		searchAttribute: "sold", memo: "thanks", child: "Ship", signal: "sold", updateResult: "1250 in all", updateError: "Closed",
		result:  receipt{Status: "sold", Amount: 1250},
		onStart: func(workflow.Context) {}, onPaid: func(workflow.Context) error { return nil },
	}
}

func (s *seller) sell(ctx workflow.Context, o order) (receipt, error) {
	if err := workflow.SetUpdateHandler(ctx, "price", func(_ workflow.Context, word string) (string, error) {
		if word != "please" {
			return "", temporal.NewApplicationError("want please", s.updateError)
		}
		return s.updateResult, nil
	}); err != nil {
		return receipt{}, err
	}
	s.onStart(ctx)
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: time.Second, Summary: s.summary})
	argument := s.localArgument(receipt{Status: s.stored, Amount: o.Amount})
	if err := workflow.ExecuteLocalActivity(local, s.localActivity, argument).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	key := temporal.NewSearchAttributeKeyKeyword("Status")
	unset := temporal.NewSearchAttributeKeyInt64("Gone")
	if err := workflow.UpsertTypedSearchAttributes(ctx, key.ValueSet(s.searchAttribute), unset.ValueUnset()); err != nil {
		return receipt{}, err
	}
	paying := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: s.queue, StartToCloseTimeout: s.startToClose, ScheduleToCloseTimeout: s.scheduleToClose, RetryPolicy: s.retry,
		Summary: s.summary,
	})
	if err := workflow.ExecuteActivity(paying, s.activity, order{Key: o.Key, Amount: s.amount}).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	if err := s.onPaid(ctx); err != nil {
		return receipt{}, err
	}
	if s.secondActivity {
		if err := workflow.ExecuteActivity(paying, "Thank").Get(ctx, nil); err != nil {
			return receipt{}, err
		}
	}
	if !s.skipPause {
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
	if err := workflow.SignalExternalWorkflow(ctx, "till/1", "", "sale", s.signal).Get(ctx, nil); err != nil {
		return receipt{}, err
	}
	return s.result, s.failure
}

func (s *seller) register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(s.sell, workflow.RegisterOptions{Name: "Sell"})
}

// check replays the history with the seller and returns the differences as lines.
func check(t *testing.T, history string, s *seller) []string {
	t.Helper()
	differences, err := replaytest.Check(script(t, history), replaytest.Options{
		Register: s.register, Echoes: []replaytest.Echo{{Activity: "Store"}},
	})
	require.NoError(t, err)
	return toLines(differences)
}

func toLines(differences []replaytest.Difference) (all []string) {
	for _, d := range differences {
		all = append(all, d.String())
	}
	return all
}

func TestEveryRelevantChangeIsReported(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*seller)
		want   []string
	}{
		"another amount": {change: func(s *seller) { s.amount++ }, want: []string{
			`event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1251`,
		}},
		"another activity": {change: func(s *seller) { s.activity = "Lend" }, want: []string{
			`event 7 ActivityTaskScheduled: activityType.name: was "Pay", is "Lend"`, sdk,
		}},
		"another task queue": {change: func(s *seller) { s.queue = "sales" }, want: []string{
			`event 7 ActivityTaskScheduled: taskQueue.name: was "payments", is "sales"`,
		}},
		"no task queue, so the workflow's own": {change: func(s *seller) { s.queue = "" }, want: []string{
			`event 7 ActivityTaskScheduled: taskQueue.name: was "payments", is "sales"`,
		}},
		"another timeout": {change: func(s *seller) { s.startToClose = time.Minute }, want: []string{
			`event 7 ActivityTaskScheduled: startToCloseTimeout: was "30s", is "1m0s"`,
		}},
		"a removed timeout that the server sets by default": {change: func(s *seller) { s.startToClose = 0 }, want: []string{
			`event 7 ActivityTaskScheduled: startToCloseTimeout: was "30s", is "15m0s"`,
		}},
		"a removed timeout": {change: func(s *seller) { s.scheduleToClose = 0 }, want: []string{
			`event 7 ActivityTaskScheduled: scheduleToCloseTimeout: was "15m0s", is nothing`,
			`event 7 ActivityTaskScheduled: scheduleToStartTimeout: was "15m0s", is nothing`,
		}},
		"no retry policy": {change: func(s *seller) { s.retry = nil }, want: []string{
			`event 7 ActivityTaskScheduled: retryPolicy.backoffCoefficient: was 1.5, is 2`,
			`event 7 ActivityTaskScheduled: retryPolicy.nonRetryableErrorTypes[0]: was "Declined", is nothing`,
		}},
		"another input of a local activity": {change: func(s *seller) { s.stored = "started" }, want: []string{
			`event 5 MarkerRecorded: Store.status: was "begun", is "started"`,
		}},
		"another local activity": {change: func(s *seller) { s.localActivity = "Burn" }, want: []string{
			`event 5 MarkerRecorded: was Store, is Burn`, sdk,
		}},
		"another search attribute value": {change: func(s *seller) { s.searchAttribute = "selling" }, want: []string{
			`event 6 UpsertWorkflowSearchAttributes: searchAttributes.indexedFields.Status: was "sold", is "selling"`,
		}},
		"another timer duration": {change: func(s *seller) { s.pause = time.Hour }, want: []string{
			`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`,
		}},
		"a removed timer": {change: func(s *seller) { s.skipPause = true }, want: []string{
			`event 11 WorkflowTaskStarted: was nothing, is StartChildWorkflowExecutionInitiated Ship`,
			`event 11 WorkflowTaskStarted: was nothing, is WorkflowPropertiesModified {"upsertedMemo":{"fields":{"note":"thanks"}}}`,
			`event 15 TimerStarted: was 1m0s, is nothing`, sdk,
		}},
		"an added activity": {change: func(s *seller) { s.secondActivity = true }, want: []string{
			`event 11 WorkflowTaskStarted: was nothing, is ActivityTaskScheduled Thank`,
			`event 15 TimerStarted: was 1m0s, is nothing`, sdk,
		}},
		"another result of an update": {change: func(s *seller) { s.updateResult = "1251 in all" }, want: []string{
			`event 14 WorkflowExecutionUpdateCompleted: outcome.success[0]: was "1250 in all", is "1251 in all"`,
		}},
		"another memo": {change: func(s *seller) { s.memo = "bye" }, want: []string{
			`event 20 WorkflowPropertiesModified: upsertedMemo.fields.note: was "thanks", is "bye"`,
		}},
		"another child workflow": {change: func(s *seller) { s.child = "Drop" }, want: []string{
			`event 21 StartChildWorkflowExecutionInitiated: workflowType.name: was "Ship", is "Drop"`, sdk,
		}},
		"another input of a signal": {change: func(s *seller) { s.signal = "given away" }, want: []string{
			`event 27 SignalExternalWorkflowExecutionInitiated: input[0]: was "sold", is "given away"`,
		}},
		"another result": {change: func(s *seller) { s.result = receipt{Status: "given away", Amount: 0} }, want: []string{
			`event 32 WorkflowExecutionCompleted: result[0].amount: was 1250, is 0`,
			`event 32 WorkflowExecutionCompleted: result[0].status: was "sold", is "given away"`,
		}},
		"a failure instead of a result": {change: func(s *seller) { s.failure = temporal.NewApplicationError("no", "No") }, want: []string{
			`event 32 WorkflowExecutionCompleted: was WorkflowExecutionCompleted {"result":[{"amount":1250,"status":"sold"}]}, is WorkflowExecutionFailed {"failure":{"applicationFailureInfo":{"type":"No"},"message":"no","source":"GoSDK"}}`, sdk,
		}},
		"several changes": {change: func(s *seller) { s.amount, s.queue, s.pause = 1, "sales", time.Hour }, want: []string{
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

// sdk stands for the error of the SDK's replayer: tests do not compare its text.
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

func TestIrrelevantChangeIsNotReported(t *testing.T) {
	for name, change := range map[string]func(*seller){
		"no change":       func(*seller) {},
		"another summary": func(s *seller) { s.summary = "another" },
		"a log line": func(s *seller) {
			s.onStart = func(ctx workflow.Context) { workflow.GetLogger(ctx).Info("begun") }
		},
		"current details": func(s *seller) {
			s.onStart = func(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, "selling") }
		},
		"a version gate": func(s *seller) {
			s.onStart = func(ctx workflow.Context) {
				if workflow.GetVersion(ctx, "second-activity", workflow.DefaultVersion, 1) == 1 {
					s.secondActivity = true
				}
			}
		},
		"a query handler": func(s *seller) {
			s.onStart = func(ctx workflow.Context) {
				_ = workflow.SetQueryHandler(ctx, "state", func() (string, error) { return "running", nil })
			}
		},
		"another error of an update that did not fail in this history": func(s *seller) { s.updateError = "Other" },
		"a value that equals the server's default": func(s *seller) {
			s.onStart = func(workflow.Context) {
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

// The SDK rejects some calls itself, such as a child workflow on a canceled context. They make no event.
func TestCallThatMakesNoEventIsNotReportedAsAdditional(t *testing.T) {
	s := asRecorded()
	s.onPaid = func(ctx workflow.Context) error {
		ctx, cancel := workflow.WithCancel(ctx)
		cancel()
		workflow.ExecuteChildWorkflow(ctx, "Advertise")
		return nil
	}
	require.Empty(t, check(t, waiting, s))
	s.pause = 2 * time.Minute
	require.Equal(t, []string{`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "2m0s"`}, check(t, waiting, s))
}

// A timer that is canceled in the workflow task in which it was started still makes both events.
func TestTimerThatIsCanceledAtOnceIsCompared(t *testing.T) {
	s := asRecorded()
	long := time.Hour
	s.onPaid = func(ctx workflow.Context) error {
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
	continueAsNew := func(key string) func(workflow.Context) error {
		return func(ctx workflow.Context) error {
			return workflow.NewContinueAsNewError(ctx, "Sell", order{Key: key, Amount: 1250})
		}
	}
	// How the code was when the history was recorded.
	unchanged := func(*seller) {}
	isSoldOut := func(s *seller) { s.onPaid = soldOut(0) }
	continues := func(s *seller) { s.onPaid = continueAsNew("key-2") }
	// How it was changed.
	otherAmount := func(s *seller) { s.amount = 1 }
	otherPause := func(s *seller) { s.pause = time.Hour }
	const amountDiffers = `event 7 ActivityTaskScheduled: input[0].amount: was 1250, is 1`
	for name, tt := range map[string]struct {
		history         string
		before, changed func(*seller)
		want            []string
	}{
		"failed": {
			history: failed, before: isSoldOut, changed: func(s *seller) { s.onPaid = soldOut(3) },
			want: []string{`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.details[0].left: was 0, is 3`},
		},
		"failed with another error": {
			history: failed, before: isSoldOut, changed: func(s *seller) {
				s.onPaid = func(workflow.Context) error { return temporal.NewApplicationError("closed", "Closed") }
			},
			want: []string{
				`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.details[0].left: was 0, is nothing`,
				`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.nonRetryable: was true, is nothing`,
				`event 13 WorkflowExecutionFailed: failure.applicationFailureInfo.type: was "SoldOut", is "Closed"`,
				`event 13 WorkflowExecutionFailed: failure.message: was "sold out", is "closed"`,
			},
		},
		"failed, and now continues": {
			history: failed, before: isSoldOut, changed: unchanged,
			want: []string{`event 11 WorkflowTaskStarted: was nothing, is TimerStarted 1m0s`, sdk},
		},
		"continued as new": {
			history: continued, before: continues, changed: func(s *seller) { s.onPaid = continueAsNew("key-1") },
			want: []string{`event 13 WorkflowExecutionContinuedAsNew: input[0].key: was "key-2", is "key-1"`},
		},
		"canceled": {
			history: canceled, before: unchanged, changed: otherPause,
			want: []string{`event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`},
		},
		"still running":                 {history: waiting, before: unchanged, changed: otherAmount, want: []string{amountDiffers}},
		"terminated":                    {history: terminated, before: unchanged, changed: otherAmount, want: []string{amountDiffers}},
		"terminated in a workflow task": {history: terminatedInTask, before: unchanged, changed: otherAmount, want: []string{amountDiffers}},
		"timed out":                     {history: timedOut, before: unchanged, changed: otherAmount, want: []string{amountDiffers}},
		"still running, and now ends": {
			history: paid, before: func(s *seller) {
				s.onPaid = func(ctx workflow.Context) error { return workflow.Await(ctx, func() bool { return false }) }
			},
			changed: isSoldOut,
			want:    []string{`event 11 WorkflowTaskStarted: was nothing, is WorkflowExecutionFailed`},
		},
		"an update that failed": {
			history: updateFailed, before: unchanged, changed: func(s *seller) { s.updateError = "Other" },
			want: []string{
				`event 14 WorkflowExecutionUpdateCompleted: outcome.failure.applicationFailureInfo.type: was "Closed", is "Other"`,
			},
		},
		"reset, changed after the reset": {
			history: reset, before: unchanged, changed: otherPause,
			want: []string{`event 16 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`},
		},
		"reset, changed before the reset": {history: reset, before: unchanged, changed: otherAmount, want: []string{amountDiffers}},
	} {
		t.Run(name, func(t *testing.T) {
			was := asRecorded()
			tt.before(was)
			require.Empty(t, check(t, tt.history, was))
			is := asRecorded()
			tt.changed(is)
			requireFound(t, tt.want, check(t, tt.history, is))
		})
	}
}

// The SDK replays the whole history of a reset workflow with the ID of its first run. Code that reads its run ID would get the
// wrong one.
func TestEachPartOfResetWorkflowIsReplayedWithItsRunID(t *testing.T) {
	s := asRecorded()
	s.onStart = func(ctx workflow.Context) {
		s.amount, s.pause = 1250, time.Hour
		if workflow.GetInfo(ctx).WorkflowExecution.RunID == "run-9" {
			s.amount, s.pause = 1, time.Minute
		}
	}
	require.Empty(t, check(t, reset, s))
}

func TestHistoryWithoutCompletedTaskHasNoDifferences(t *testing.T) {
	first, _, _ := strings.Cut(strings.TrimSpace(sold), "\n")
	require.Empty(t, check(t, first, asRecorded()))
	require.Empty(t, check(t, first+`
		WorkflowTaskScheduled
		WorkflowTaskStarted {"scheduledEventId":"2"}
		WorkflowExecutionTerminated {"reason":"a test"}`, asRecorded()))
}

func TestCheckDoesNotModifyTheHistory(t *testing.T) {
	for _, lines := range []string{sold, reset} {
		h := script(t, lines)
		_, err := replaytest.Check(h, replaytest.Options{Register: asRecorded().register})
		require.NoError(t, err)
		require.True(t, proto.Equal(script(t, lines), h))
	}
}

func TestEchoIsComparedWithTheRecordedResult(t *testing.T) {
	lines := strings.Replace(waiting, `"result":[{"status":"begun","amount":1250,"at":"08:00"}]`,
		`"result":[{"stored":{"status":"begun","amount":1250,"at":"08:00"}}]`, 1)
	require.NotEqual(t, waiting, lines)
	s := asRecorded()
	s.stored = "started"
	for name, tt := range map[string]struct {
		echo replaytest.Echo
		want []string
	}{
		"field of the result": {echo: replaytest.Echo{Activity: "Store", ResultField: "stored"}, want: []string{
			`event 5 MarkerRecorded: Store.status: was "begun", is "started"`,
		}},
		"ignored field": {
			echo: replaytest.Echo{Activity: "Store", ResultField: "stored", Ignored: []string{"status", "no.such.field"}}, want: nil,
		},
		"another activity": {echo: replaytest.Echo{Activity: "Burn"}, want: nil},
		"missing in the result": {echo: replaytest.Echo{Activity: "Store"}, want: []string{
			`event 5 MarkerRecorded: Store.amount: was nothing, is 1250`, `event 5 MarkerRecorded: Store.status: was nothing, is "started"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			options := replaytest.Options{Register: s.register, Echoes: []replaytest.Echo{tt.echo}}
			differences, err := replaytest.Check(script(t, lines), options)
			require.NoError(t, err)
			require.Equal(t, tt.want, toLines(differences))
		})
	}
}

func TestEchoThatIsNotAnObjectIsCompared(t *testing.T) {
	lines := strings.Replace(waiting, `"result":[{"status":"begun","amount":1250,"at":"08:00"}]`, `"result":["begun"]`, 1)
	s := asRecorded()
	s.localArgument = func(receipt) any { return "started" }
	options := replaytest.Options{Register: s.register, Echoes: []replaytest.Echo{{Activity: "Store"}}}
	differences, err := replaytest.Check(script(t, lines), options)
	require.NoError(t, err)
	want := replaytest.Difference{EventID: 5, EventType: "MarkerRecorded", Field: "Store", Was: `"begun"`, Is: `"started"`}
	require.Equal(t, []replaytest.Difference{want}, differences)
	s.localArgument = func(receipt) any { return nil }
	differences, err = replaytest.Check(script(t, lines), options)
	require.NoError(t, err)
	require.Empty(t, differences, "a nil argument is not compared")
}

func TestHistoryThatCannotBeReplayedIsAnError(t *testing.T) {
	h := script(t, sold)
	_, err := replaytest.Check(h, replaytest.Options{})
	require.ErrorContains(t, err, "options without Register")
	_, err = replaytest.Check(h, replaytest.Options{Register: func(worker.WorkflowRegistry) {}})
	require.ErrorContains(t, err, "Sell")
	h.Events = h.GetEvents()[1:]
	_, err = replaytest.Check(h, replaytest.Options{Register: asRecorded().register})
	require.ErrorContains(t, err, "want WorkflowExecutionStarted as its first event")
}

// A change of the code may make it panic. That is a difference, not an error.
func TestPanicIsADifference(t *testing.T) {
	s := asRecorded()
	s.onStart = func(workflow.Context) { panic("a bug") }
	found := check(t, sold, s)
	require.Contains(t, found[len(found)-1], "a bug")
}

func TestPayloadsAreDecodedWithTheWorkersConverter(t *testing.T) {
	s := asRecorded()
	s.amount = 9007199254740993 // a float64 cannot represent it
	zlib := converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true})
	compressing := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), zlib)
	differences, err := replaytest.Check(script(t, sold), replaytest.Options{
		Register: s.register, Worker: worker.WorkflowReplayerOptions{DataConverter: compressing},
	})
	require.NoError(t, err)
	require.Equal(t, []replaytest.Difference{{
		EventID: 7, EventType: "ActivityTaskScheduled", Field: "input[0].amount", Was: "1250", Is: "9007199254740993",
	}}, differences)
}

// fakeT records the errors that are reported to it.
type fakeT struct{ errors []string }

func (*fakeT) Helper() {}

func (f *fakeT) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeT) Run(_ string, test func(*fakeT)) bool {
	test(f)
	return len(f.errors) == 0
}

func TestRunReplaysEveryHistoryInTheDirectory(t *testing.T) {
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{"events": []any{}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("not a history"), 0o600))
	options := replaytest.Options{Register: asRecorded().register}

	var none fakeT
	replaytest.Run(&none, dir, options)
	require.Equal(t, []string{"no histories in " + dir + ": want *.json or *.json.gz"}, none.errors)

	write(t, filepath.Join(dir, "open.json"), waiting)
	write(t, filepath.Join(dir, "sold.json.gz"), sold)
	var same fakeT
	replaytest.Run(&same, dir, options)
	require.Empty(t, same.errors)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.json"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.json.gz"), []byte("{"), 0o600))
	changed := asRecorded()
	changed.pause = time.Hour
	var differing fakeT
	replaytest.Run(&differing, dir, replaytest.Options{Register: changed.register})
	require.Len(t, differing.errors, 4)
	require.Contains(t, differing.errors[0], "broken.json.gz: ")
	require.Contains(t, differing.errors[1], "empty.json: not a complete history")
	for i, name := range []string{"open.json", "sold.json.gz"} {
		require.Equal(t, filepath.Join(dir, name)+`: event 15 TimerStarted: startToFireTimeout: was "1m0s", is "1h0m0s"`, differing.errors[2+i])
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
		compressed := gzip.NewWriter(file)
		_, err = compressed.Write(text)
		require.NoError(t, err)
		require.NoError(t, compressed.Close())
		return
	}
	_, err = file.Write(text)
	require.NoError(t, err)
}
