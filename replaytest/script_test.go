package replaytest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
)

// script parses a history that is written as one event per line: the event's type, then its attributes as JSON. Event IDs start
// at 1. A line Task stands for the three events of a completed workflow task. A leading > marks an event that a command of the
// last workflow task caused.
func script(t *testing.T, lines string) *historypb.History {
	t.Helper()
	var events []map[string]any
	add := func(kind string, attributes map[string]any) {
		name := strings.ToLower(kind[:1]) + kind[1:] + "EventAttributes"
		events = append(events, map[string]any{
			"eventId": fmt.Sprint(len(events) + 1), "eventType": kind, name: attributes,
			"eventTime": fmt.Sprintf("2026-11-22T08:00:%02dZ", len(events)),
		})
	}
	completed := ""
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "Task" {
			add("WorkflowTaskScheduled", map[string]any{})
			add("WorkflowTaskStarted", map[string]any{"scheduledEventId": fmt.Sprint(len(events))})
			add("WorkflowTaskCompleted", map[string]any{
				"scheduledEventId": fmt.Sprint(len(events) - 1), "startedEventId": fmt.Sprint(len(events)),
			})
			completed = fmt.Sprint(len(events))
			continue
		}
		attributes := map[string]any{}
		if text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &attributes), line)
		}
		eventType, isCommand := strings.CutPrefix(kind, ">")
		if isCommand && !strings.Contains(kind, "Update") {
			attributes["workflowTaskCompletedEventId"] = completed
		}
		add(eventType, attributes)
	}
	text, err := json.Marshal(map[string]any{"events": events})
	require.NoError(t, err)
	h := &historypb.History{}
	// A payload is written as the value that it encodes.
	options := temporalproto.CustomJSONUnmarshalOptions{Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true}}
	require.NoError(t, options.Unmarshal(text, h), string(text))
	return h
}
