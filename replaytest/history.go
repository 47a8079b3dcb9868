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

// Files returns the paths of the histories in dir, in lexical order. These are the files named *.json or *.json.gz;
// subdirectories are not searched. It returns an error if there are none.
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

// Read reads a history from a file in the JSON format that the temporal command writes. It decompresses a file whose name ends
// in .gz.
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

// run is the part of a history that one run of the workflow made. It is the whole history, unless the workflow was reset.
type run struct {
	// history holds all events up to the last command of the run, including the events of earlier runs.
	history   *historypb.History
	execution workflow.Execution
	// after is the ID of the last event of the earlier runs: only later events are compared.
	after int64
	// closed reports whether the workflow ended by its own decision. Then the last event is that of its end.
	closed bool
}

// runsOf splits a history where the workflow was reset. The SDK would replay all of it with the ID of the first run. But the code
// may read its run ID, for example to detect a reset, so each part must be replayed with the ID that it was recorded with.
func runsOf(h *historypb.History) ([]run, error) {
	events := h.GetEvents()
	if len(events) == 0 || events[0].GetEventType() != enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED {
		return nil, errors.New("not a complete history: want WorkflowExecutionStarted as its first event")
	}
	started := events[0].GetWorkflowExecutionStartedEventAttributes()
	execution := workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()}
	var runs []run
	var after int64
	add := func(upTo int) {
		if replayable, closed := trim(events[:upTo], after); replayable != nil {
			runs = append(runs, run{history: &historypb.History{Events: replayable}, execution: execution, after: after, closed: closed})
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

// trim drops the events after the commands of the last completed workflow task, because the workflow has not processed them. The
// SDK would treat a task that was in flight when the workflow was terminated as one without commands. trim returns nil if no
// workflow task was completed after the given event. closed reports whether the last of the events closes the workflow.
func trim(events []*historypb.HistoryEvent, after int64) (replayable []*historypb.HistoryEvent, closed bool) {
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
	for end < len(events) && isCommand(events[end]) {
		end++
	}
	return events[:end], closes(events[end-1].GetEventType())
}

// isCommand reports whether the event was caused by a command of the workflow's code.
func isCommand(e *historypb.HistoryEvent) bool {
	switch e.GetEventType() {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
		return true
	default:
		return completedTask(e) != 0
	}
}

// completedTask returns the ID of the WorkflowTaskCompleted event whose commands caused e, or 0 if no command caused it.
func completedTask(e *historypb.HistoryEvent) int64 {
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

// closes reports whether a workflow ends by its own decision with an event of this type.
func closes(t enumspb.EventType) bool {
	switch t {
	case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
		enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
		return true
	default:
		return false
	}
}
