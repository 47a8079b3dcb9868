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

// uncompared lists the fields that do not depend on what the code does: the server sets them, or any change of the code changes
// them.
var uncompared = map[string]bool{"kind": true, "normalName": true, "stackTrace": true, "stack_trace": true}

// tree returns a message as decoded JSON, with the JSON names of its fields and with decoded payloads: maps, slices, strings,
// bools and json.Numbers. Empty fields are omitted.
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
			if value := branch(f, v, c); !isZeroDuration(v, f) {
				fields[name] = value
			}
		}
		return true
	})
	return fields
}

// isZeroDuration reports whether a field is a duration of 0, which means the same as an absent one.
func isZeroDuration(v protoreflect.Value, f protoreflect.FieldDescriptor) bool {
	if f.Message() == nil || f.IsList() || f.IsMap() {
		return false
	}
	d, ok := v.Message().Interface().(*durationpb.Duration)
	return ok && d.AsDuration() == 0
}

// branch returns the tree of a field, which may be a map or a list.
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

// leaf returns the tree of a single value.
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

// decoded returns the value of a payload's text. Text that is not JSON is returned as a string. Numbers keep their notation.
func decoded(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return text
	}
	return withoutUncompared(value)
}

// withoutUncompared removes the stack trace that a failure converter may have encoded into a payload.
func withoutUncompared(value any) any {
	if fields, ok := value.(map[string]any); ok {
		delete(fields, "stack_trace")
	}
	return value
}

// only returns the tree of the named fields of a message.
func only(m proto.Message, c converter.DataConverter, names ...string) map[string]any {
	fields := map[string]any{}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		for _, name := range names {
			if f.JSONName() == name && !isZeroDuration(v, f) {
				fields[name] = branch(f, v, c)
			}
		}
		return true
	})
	return fields
}
