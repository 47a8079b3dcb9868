package histories

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Suffix is the suffix of the name of a file that holds the output of [Pack].
const Suffix = ".json.gz"

// Manifest is the name of the file with the checksums of the recorded histories of a directory, in the format of sha256sum.
const Manifest = "SHA256SUMS"

// CheckSealed compares the recorded histories of a directory with its manifest. It returns an error that names each file which was changed,
// is missing, or is not in the manifest.
func CheckSealed(dir string) error {
	manifest, err := os.ReadFile(filepath.Join(filepath.Clean(dir), Manifest))
	if err != nil {
		return err
	}
	sealed := map[string]string{}
	for line := range strings.Lines(string(manifest)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || sealed[name] != "" {
			return fmt.Errorf("%s: the line %q is not a checksum and the name of another file", Manifest, line)
		}
		sealed[name] = sum
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+Suffix))
	if err != nil {
		return err
	}
	var problems []error
	for _, path := range files {
		content, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		switch sum := fmt.Sprintf("%x", sha256.Sum256(content)); sealed[name] {
		case sum:
		case "":
			problems = append(problems, fmt.Errorf("%s is not in %s", name, Manifest))
		default:
			problems = append(problems, fmt.Errorf("%s was changed: restore it with git", name))
		}
		delete(sealed, name)
	}
	for _, name := range slices.Sorted(maps.Keys(sealed)) {
		problems = append(problems, fmt.Errorf("%s is missing: restore it with git", name))
	}
	return errors.Join(problems...)
}

// Fetch reads the complete history of a run from the Temporal server. If runID is empty, it reads that of the latest run.
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

// Pack encodes a history in the JSON format of the temporal command, compressed with gzip.
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

// FileName returns a file name for the history of a run. It contains both IDs; in the workflow ID, characters that are not
// portable in file names are replaced, and it is cut to 150 bytes, so that the name stays below the usual limit of 255 bytes.
func FileName(workflowID, runID string) string {
	name := notPortable.ReplaceAllLiteralString(workflowID, "_")
	const maxBytes = 150
	if len(name) > maxBytes {
		name = name[:maxBytes]
	}
	return name + "_" + runID + Suffix
}

var notPortable = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// Anonymize replaces the identities of clients and workers in h. They contain the names of machines, processes and operators.
func Anonymize(h *historypb.History) {
	for _, event := range h.GetEvents() {
		forEachString(event.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			if f.Name() == "identity" {
				m.Set(f, protoreflect.ValueOfString("anonymous"))
			}
		})
	}
}

// forEachString calls visit for every singular string field of a message and of the messages in it.
func forEachString(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				forEachString(v.Message(), visit)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				forEachString(v.List().Get(i).Message(), visit)
			}
		case f.IsMap() || f.IsList():
		case f.Message() != nil:
			forEachString(v.Message(), visit)
		case f.Kind() == protoreflect.StringKind:
			visit(m, f)
		}
		return true
	})
}
