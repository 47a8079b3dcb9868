package replaytest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// uncompared are the fields that say nothing of what the code wants: servers fill them in, or they change with any code.
var uncompared = map[string]bool{"kind": true, "normalName": true, "stackTrace": true, "stack_trace": true}

// tree is a message as JSON would have it, names and all, with its payloads decoded: maps, lists, strings, bools and
// json.Numbers. What is empty is left out.
func tree(m protoreflect.Message, c converter.DataConverter) any {
	switch v := m.Interface().(type) {
	case *commonpb.Payload:
		return decoded(c.ToString(v))
	case *commonpb.Payloads:
		list := make([]any, len(v.GetPayloads()))
		for i, p := range v.GetPayloads() {
			list[i] = tree(p.ProtoReflect(), c)
		}
		return list
	case *durationpb.Duration:
		return v.AsDuration().String()
	case *timestamppb.Timestamp:
		return v.AsTime().Format("2006-01-02T15:04:05.999999999Z")
	}
	fields := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if name := f.JSONName(); !uncompared[name] {
			if value := branch(f, v, c); !isEmpty(v, f) {
				fields[name] = value
			}
		}
		return true
	})
	return fields
}

// isEmpty holds for a duration of nothing, which is the same as none.
func isEmpty(v protoreflect.Value, f protoreflect.FieldDescriptor) bool {
	if f.Message() == nil || f.IsList() || f.IsMap() {
		return false
	}
	d, ok := v.Message().Interface().(*durationpb.Duration)
	return ok && d.AsDuration() == 0
}

func branch(f protoreflect.FieldDescriptor, v protoreflect.Value, c converter.DataConverter) any {
	switch {
	case f.IsMap():
		fields := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			fields[k.String()] = leaf(f.MapValue(), v, c)
			return true
		})
		return fields
	case f.IsList():
		list := make([]any, v.List().Len())
		for i := range list {
			list[i] = leaf(f, v.List().Get(i), c)
		}
		return list
	default:
		return leaf(f, v, c)
	}
}

func leaf(f protoreflect.FieldDescriptor, v protoreflect.Value, c converter.DataConverter) any {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return tree(v.Message(), c)
	case protoreflect.EnumKind:
		if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
		return json.Number(v.String())
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.StringKind:
		return v.String()
	default:
		return json.Number(v.String())
	}
}

// decoded is a payload's text as JSON, and as text where it is not. Numbers stay as they are written.
func decoded(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return text
	}
	return withoutUncompared(value)
}

// withoutUncompared: a failure converter may hide a stack trace in a payload.
func withoutUncompared(value any) any {
	if fields, ok := value.(map[string]any); ok {
		delete(fields, "stack_trace")
	}
	return value
}

// only is the tree of some fields of a message.
func only(m proto.Message, c converter.DataConverter, names ...string) map[string]any {
	fields := map[string]any{}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		for _, name := range names {
			if f.JSONName() == name && !isEmpty(v, f) {
				fields[name] = branch(f, v, c)
			}
		}
		return true
	})
	return fields
}
