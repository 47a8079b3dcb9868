package florin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/processor/credentials"
	"github.com/florinpay/florin/internal/processor/httpclient"
	"github.com/florinpay/florin/internal/processor/ratelimit"
	"github.com/florinpay/florin/internal/processor/rest"
	"github.com/florinpay/florin/internal/processor/retry"
	"github.com/florinpay/florin/internal/simulator"
	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/workflows"
)

// temporal replaces a Temporal server and a worker in the examples. It runs the real workflows in the SDK's test environment,
// which skips time, against the real simulator over HTTP. It has only the methods that the examples use.
type temporal struct {
	client.Client
	processorURL string
	store        *store.Store
	// authorized is the update outcome of the workflow that waits for a capture. modifications are run in its environment.
	authorized    *updateHandle
	modifications chan func(*testsuite.TestWorkflowEnvironment)
}

const processorKey = "sim_example_key"

// newTemporal returns a client. All clients share one simulator and one store, which live until the process ends.
var newTemporal = func() func() client.Client {
	var url string
	var shared *store.Store
	return func() client.Client {
		if url == "" {
			sim, err := simulator.Open(context.Background(), simulator.Options{APIKey: processorKey})
			if err != nil {
				panic(err)
			}
			url = httptest.NewServer(sim.Handler()).URL
			shared = newStore()
		}
		return &temporal{processorURL: url, store: shared, modifications: make(chan func(*testsuite.TestWorkflowEnvironment))}
	}
}()

func newStore() *store.Store {
	dir, err := os.MkdirTemp("", "florin-example-")
	if err != nil {
		panic(err)
	}
	dsn := "sqlite://" + filepath.Join(dir, "florin.db")
	if _, _, err := store.Migrate(context.Background(), dsn); err != nil {
		panic(err)
	}
	opened, err := store.Open(context.Background(), dsn)
	if err != nil {
		panic(err)
	}
	return opened
}

// startOperation is the workflow to start with an update.
type startOperation struct {
	client.WithStartWorkflowOperation
	options  client.StartWorkflowOptions
	workflow string
	args     []any
}

func (t *temporal) NewWithStartWorkflowOperation(
	o client.StartWorkflowOptions, workflow any, args ...any,
) client.WithStartWorkflowOperation {
	name, ok := workflow.(string)
	if !ok {
		panic("the workflow is not started by its name")
	}
	return &startOperation{options: o, workflow: name, args: args}
}

func (t *temporal) UpdateWithStartWorkflow(
	_ context.Context, o client.UpdateWithStartWorkflowOptions,
) (client.WorkflowUpdateHandle, error) {
	start, ok := o.StartWorkflowOperation.(*startOperation)
	if !ok {
		return nil, errors.New("the operation is not from NewWithStartWorkflowOperation")
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(10 * time.Minute)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: start.options.ID, TaskQueue: start.options.TaskQueue})
	if err := t.register(env); err != nil {
		return nil, err
	}
	handle := newUpdateHandle()
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(o.UpdateOptions.UpdateName, o.UpdateOptions.UpdateID, handle, o.UpdateOptions.Args...)
	}, 0)
	if req, ok := start.args[0].(payment.ChargeRequest); ok && req.Capture == payment.CaptureManual {
		// The callback blocks until the caller requests a modification, so that no more time is skipped before.
		env.RegisterDelayedCallback(func() { (<-t.modifications)(env) }, time.Minute)
		go env.ExecuteWorkflow(start.workflow, start.args...)
		t.authorized = handle
		return handle, nil
	}
	env.ExecuteWorkflow(start.workflow, start.args...)
	return handle, env.GetWorkflowError()
}

// UpdateWorkflow, QueryWorkflow and DescribeWorkflowExecution are for the workflow of the authorized payment.
func (t *temporal) UpdateWorkflow(_ context.Context, o client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	handle := newUpdateHandle()
	t.modifications <- func(env *testsuite.TestWorkflowEnvironment) {
		env.UpdateWorkflow(o.UpdateName, o.UpdateID, handle, o.Args...)
	}
	return handle, nil
}

func (t *temporal) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(t.authorized.value)
	return client.NewValue(payloads), err
}

func (t *temporal) DescribeWorkflowExecution(
	context.Context, string, string,
) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Status: enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING},
	}, nil
}

// register registers workflows and activities, as a worker does.
func (t *temporal) register(env *testsuite.TestWorkflowEnvironment) error {
	keys, err := credentials.New(context.Background(), func(context.Context) (credentials.Key, error) {
		return credentials.Key{Value: processorKey}, nil
	})
	if err != nil {
		return err
	}
	processorClient, err := httpclient.New(httpclient.Options{
		Profile: rest.Profile(), BaseURL: t.processorURL, Credentials: keys, Limiter: ratelimit.New(0, 1, time.Second),
		AttemptTimeout: time.Second, MaxInFlight: 1,
	})
	if err != nil {
		return err
	}
	workflows.Register(env)
	activities.NewProcessor(rest.New(processorClient), rest.Profile(), retry.DefaultBackoff, time.Minute, activities.Guard{}).Register(env)
	poll := activities.Poll{
		Initial: activities.Duration(time.Second), Max: activities.Duration(time.Minute), For: activities.Duration(time.Hour),
	}
	writes := &activities.Payments{Store: t.store, Default: "simulator", Terms: map[string]activities.Terms{"simulator": {
		Processor:       "simulator",
		StartToClose:    activities.Duration(2 * time.Second),
		ScheduleToClose: activities.Duration(time.Minute),
		KeyLifetime:     activities.Duration(24 * time.Hour),
		RetryInitial:    activities.Duration(time.Second),
		RetryMax:        activities.Duration(time.Minute),
		RetryMultiplier: 2,
		Resolve:         poll,
		Pending:         poll,
	}}}
	writes.RegisterWrites(env)
	return nil
}

// updateHandle receives the result of an update from the test environment and returns it to the client.
type updateHandle struct {
	client.WorkflowUpdateHandle
	value any
	err   error
	done  chan struct{}
}

func newUpdateHandle() *updateHandle { return &updateHandle{done: make(chan struct{})} }

func (h *updateHandle) Accept()          {}
func (h *updateHandle) Reject(err error) { h.Complete(nil, err) }
func (h *updateHandle) Complete(value any, err error) {
	h.value, h.err = value, err
	close(h.done)
}

func (h *updateHandle) Get(_ context.Context, value any) error {
	<-h.done
	if h.err != nil {
		return h.err
	}
	payload, err := converter.GetDefaultDataConverter().ToPayload(h.value)
	if err != nil {
		return err
	}
	return converter.GetDefaultDataConverter().FromPayload(payload, value)
}
