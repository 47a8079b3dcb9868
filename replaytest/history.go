package replaytest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Files are the histories in a directory: *.json and *.json.gz. Where there is none, that is an error.
func Files(dir string) ([]string, error) {
	var paths []string
	for _, pattern := range []string{"*.json", "*.json.gz"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no histories in %s: want *.json or *.json.gz", dir)
	}
	slices.Sort(paths)
	return paths, nil
}

// Read reads a history as the temporal command writes it.
func Read(path string) (*historypb.History, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var text io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if text, err = gzip.NewReader(file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	h, err := client.HistoryFromJSON(text, client.HistoryJSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: not a history: %w", path, err)
	}
	return h, nil
}

// run is a part of a history that one run of the workflow has made: all of it, unless the workflow was reset.
type run struct {
	// history ends with the last thing that the run has decided.
	history   *historypb.History
	execution workflow.Execution
	// after is the last event of the runs before.
	after int64
	// closed: the last event is how the workflow ended by its own decision.
	closed bool
}

// runsOf cuts a history where the workflow was reset. The SDK replays all of it as the first run; but code that asks for
// its run id, as to see whether it was reset, has to have the right one.
func runsOf(h *historypb.History) ([]run, error) {
	events := h.GetEvents()
	if len(events) == 0 || events[0].GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED {
		return nil, errors.New("not a whole history: want WorkflowExecutionStarted as its first event")
	}
	started := events[0].GetWorkflowExecutionStartedEventAttributes()
	execution := workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()}
	var runs []run
	var after int64
	add := func(upTo int) {
		if made, closed := decided(events[:upTo], after); made != nil {
			runs = append(runs, run{history: &historypb.History{Events: made}, execution: execution, after: after, closed: closed})
		}
	}
	for i, e := range events {
		failed := e.GetWorkflowTaskFailedEventAttributes()
		if failed.GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW {
			add(i)
			after, execution.RunID = e.GetEventId(), failed.GetNewRunId()
		}
	}
	add(len(events))
	return runs, nil
}

// decided cuts off what the workflow has not worked on: whatever came after the commands of its last workflow task. The SDK
// takes a task that was under way when the workflow was terminated for one that commanded nothing. Nil: it has done nothing
// after the given event.
func decided(events []*historypb.HistoryEvent, after int64) (made []*historypb.HistoryEvent, closed bool) {
	last := -1
	for i, e := range events {
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED && e.GetEventId() > after {
			last = i
		}
	}
	if last < 0 {
		return nil, false
	}
	end := last + 1
	for end < len(events) && isCommanded(events[end]) {
		end++
	}
	return events[:end], closes(events[end-1].GetEventType())
}

// isCommanded reports whether the workflow's code has asked for the event.
func isCommanded(e *historypb.HistoryEvent) bool {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return true
	default:
		return commandedIn(e) != 0
	}
}

// commandedIn is the event that completed the workflow task in which the event was asked for; 0 where it was not.
func commandedIn(e *historypb.HistoryEvent) int64 {
	oneof := e.ProtoReflect().Descriptor().Oneofs().ByName("attributes")
	set := e.ProtoReflect().WhichOneof(oneof)
	if set == nil {
		return 0
	}
	attributes := e.ProtoReflect().Get(set).Message()
	field := attributes.Descriptor().Fields().ByName("workflow_task_completed_event_id")
	if field == nil || field.Kind() != protoreflect.Int64Kind {
		return 0
	}
	return attributes.Get(field).Int()
}

func closes(t enumspb.EventType) bool {
	switch t {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		return true
	default:
		return false
	}
}
