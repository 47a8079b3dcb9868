package histories

import (
	"bytes"
	"compress/gzip"
	"context"
	"regexp"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Suffix ends the name of a file that holds what Pack makes.
const Suffix = ".json.gz"

// Fetch reads a whole history from the server; without a run id, that of the last run.
func Fetch(ctx context.Context, temporal client.Client, workflowID, runID string) (*historypb.History, error) {
	h := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		h.Events = append(h.Events, event)
	}
	return h, nil
}

// Pack writes a history as the temporal command does, compressed.
func Pack(h *historypb.History) ([]byte, error) {
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(h)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// FileName is a name for the history of a run: every id is in it as far as file names allow.
func FileName(workflowID, runID string) string {
	name := unfit.ReplaceAllLiteralString(workflowID, "_")
	const longest = 150
	if len(name) > longest {
		name = name[:longest]
	}
	return name + "_" + runID + Suffix
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// Anonymize takes out who worked on the workflow: names of machines, processes and operators.
func Anonymize(h *historypb.History) {
	for _, event := range h.GetEvents() {
		each(event.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			if f.Name() == "identity" {
				m.Set(f, protoreflect.ValueOfString("anonymous"))
			}
		})
	}
}

// each visits all string fields of a message and of those in it.
func each(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				each(v.Message(), visit)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				each(v.List().Get(i).Message(), visit)
			}
		case f.IsMap() || f.IsList():
		case f.Message() != nil:
			each(v.Message(), visit)
		case f.Kind() == protoreflect.StringKind:
			visit(m, f)
		}
		return true
	})
}
