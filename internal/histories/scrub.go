package histories

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/replaytest"
)

// scrubbed stands for what was taken out and cannot be missing.
const scrubbed = "scrubbed"

// removed are the fields that go, wherever they are: the requests', and those of the calls that they are copied to.
// replaced are those that have to say something.
var (
	removed  = []string{"customer_id", "description", "metadata", "reason"}
	replaced = []string{"payment_method", "by", "evidence"}
)

// ErrNotScrubbed says that a history cannot do without what is personal in it, as one of a request that was refused for it.
var ErrNotScrubbed = errors.New("it does not replay without what is personal in it")

// Scrub returns the history without what is personal: payment methods, customer ids, descriptions, reasons, metadata, an
// operator's name and evidence, the names of machines. What the workflow copies from its input is taken out wherever it was
// copied to, and what it derives, its fingerprints, is derived anew: with them somebody could confirm a guess. So the history
// replays as before. Ids, keys, amounts, and what a processor said, stay.
func Scrub(h *historypb.History) (*historypb.History, error) {
	clean, ok := proto.Clone(h).(*historypb.History)
	if !ok {
		return nil, errors.New("not a history")
	}
	Anonymize(clean)
	words, err := derived(clean)
	if err != nil {
		return nil, err
	}
	for _, event := range clean.GetEvents() {
		each(event.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			m.Set(f, protoreflect.ValueOfString(words.Replace(m.Get(f).String())))
		})
		if err := payloads(event.ProtoReflect(), func(p *commonpb.Payload) error { return scrub(p, words) }); err != nil {
			return nil, fmt.Errorf("event %d: %w", event.GetEventId(), err)
		}
	}
	return clean, stillReplays(h, clean)
}

// stillReplays: a history that the code replayed before, it has to replay after.
func stillReplays(before, after *historypb.History) error {
	differences, err := replaytest.Check(before, Options)
	if err != nil || len(differences) > 0 {
		return nil //nolint:nilerr // the answer to another question
	}
	differences, err = replaytest.Check(after, Options)
	if err == nil && len(differences) > 0 {
		err = errors.New(differences[0].String())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotScrubbed, err)
	}
	return nil
}

// derived finds what is made of personal things, and what takes its place: fingerprints, and the words in which the workflow
// tells what an operator said.
func derived(h *historypb.History) (*strings.Replacer, error) {
	words := map[string]string{}
	for _, event := range h.GetEvents() {
		started := event.GetWorkflowExecutionStartedEventAttributes()
		accepted := event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput()
		var err error
		switch {
		case started.GetWorkflowType().GetName() == payment.WorkflowCharge:
			err = fingerprint[payment.ChargeRequest](started.GetInput(), words)
		case started.GetWorkflowType().GetName() == payment.WorkflowRefund:
			err = fingerprint[payment.RefundRequest](started.GetInput(), words)
		case accepted.GetName() == payment.UpdateResolve:
			err = resolution(accepted.GetArgs(), words)
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", event.GetEventId(), err)
		}
	}
	var pairs []string
	for _, old := range slices.Sorted(maps.Keys(words)) {
		pairs = append(pairs, old, words[old])
	}
	return strings.NewReplacer(pairs...), nil
}

// fingerprint notes that of a request, and of what is left of it.
func fingerprint[R interface{ Fingerprint() string }](input *commonpb.Payloads, words map[string]string) error {
	var before, after R
	if err := converter.GetDefaultDataConverter().FromPayloads(input, &before); err != nil {
		return err
	}
	clean, ok := proto.Clone(input).(*commonpb.Payloads)
	if !ok {
		return errors.New("not payloads")
	}
	if err := payloads(clean.ProtoReflect(), func(p *commonpb.Payload) error { return scrub(p, strings.NewReplacer()) }); err != nil {
		return err
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(clean, &after); err != nil {
		return err
	}
	words[before.Fingerprint()] = after.Fingerprint()
	return nil
}

// resolution replaces what an operator said, and what the workflow makes of it.
func resolution(args *commonpb.Payloads, words map[string]string) error {
	var said payment.Resolution
	if err := converter.GetDefaultDataConverter().FromPayloads(args, &said); err != nil {
		return err
	}
	unsaid := said
	unsaid.By, unsaid.Evidence = scrubbed, scrubbed
	words[said.Fingerprint()] = unsaid.Fingerprint()
	const told = "resolved by %s: %s"
	words[fmt.Sprintf(told, said.By, said.Evidence)] = fmt.Sprintf(told, unsaid.By, unsaid.Evidence)
	return nil
}

// payloads visits all payloads in a message.
func payloads(m protoreflect.Message, visit func(*commonpb.Payload) error) (err error) {
	if p, ok := m.Interface().(*commonpb.Payload); ok {
		return visit(p)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = payloads(v.Message(), visit)
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = payloads(v.List().Get(i).Message(), visit)
			}
		case f.Message() != nil && !f.IsMap():
			err = payloads(v.Message(), visit)
		}
		return err == nil
	})
	return err
}

// scrub takes the personal fields out of a payload, and puts words in the place of others.
func scrub(p *commonpb.Payload, words *strings.Replacer) error {
	switch encoding := string(p.GetMetadata()[converter.MetadataEncoding]); encoding {
	case converter.MetadataEncodingNil:
		return nil
	case converter.MetadataEncodingJSON:
	default:
		return fmt.Errorf("a payload is encoded as %q: only %q can be scrubbed", encoding, converter.MetadataEncodingJSON)
	}
	decoder := json.NewDecoder(bytes.NewReader(p.GetData()))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	clean, err := json.Marshal(without(value, words))
	p.Data = clean
	return err
}

// without is a decoded value without what is personal in it.
func without(value any, words *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return words.Replace(v)
	case []any:
		for i := range v {
			v[i] = without(v[i], words)
		}
	case map[string]any:
		for name, field := range v {
			switch {
			case slices.Contains(removed, name):
				delete(v, name)
			case slices.Contains(replaced, name):
				v[name] = scrubbed
			default:
				v[name] = without(field, words)
			}
		}
	}
	return value
}
