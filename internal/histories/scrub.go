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

// scrubbed replaces a personal value that must not be empty.
const scrubbed = "scrubbed"

// removed and replaced are the names of fields with personal data, at any depth of a payload: those of requests, and of the
// operations into which the workflow copies them. A replaced field must not be empty, so its value becomes scrubbed.
var (
	removed  = []string{"customer_id", "description", "metadata", "reason"}
	replaced = []string{"payment_method", "by", "evidence"}
)

// ErrNotScrubbed reports that a history no longer replays after its personal data is removed, for example because the request
// was refused for that data.
var ErrNotScrubbed = errors.New("the history does not replay without its personal data")

// Scrub returns a copy of the history without personal data: payment methods, customer IDs, descriptions, reasons, metadata, an
// operator's name and evidence, and the names of machines. It removes the data wherever the workflow copied it. It also
// recomputes fingerprints, which are hashes of the data: an attacker could use them to confirm a guess. So the copy replays like
// the original. IDs, idempotency keys, amounts and the processors' responses are kept.
//
// Scrub returns an error if a payload is not JSON, and an error that wraps [ErrNotScrubbed] if the original replays but the copy
// does not.
func Scrub(h *historypb.History) (*historypb.History, error) {
	clean, ok := proto.Clone(h).(*historypb.History)
	if !ok {
		return nil, errors.New("the clone of a history is not a history")
	}
	Anonymize(clean)
	replacer, err := derivedTexts(clean)
	if err != nil {
		return nil, err
	}
	for _, event := range clean.GetEvents() {
		forEachString(event.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			m.Set(f, protoreflect.ValueOfString(replacer.Replace(m.Get(f).String())))
		})
		if err := forEachPayload(event.ProtoReflect(), func(p *commonpb.Payload) error { return scrub(p, replacer) }); err != nil {
			return nil, fmt.Errorf("event %d: %w", event.GetEventId(), err)
		}
	}
	return clean, checkReplay(h, clean)
}

// checkReplay returns ErrNotScrubbed if the original history replays and the scrubbed one does not.
func checkReplay(before, after *historypb.History) error {
	differences, err := replaytest.Check(before, Options)
	if err != nil || len(differences) > 0 {
		return nil //nolint:nilerr // the original does not replay either: scrubbing did not break it
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

// derivedTexts returns a replacer for the texts that the workflow derives from personal data: fingerprints, and its
// description of an operator's resolution. It replaces each with what the workflow derives from the scrubbed data.
func derivedTexts(h *historypb.History) (*strings.Replacer, error) {
	replacements := map[string]string{}
	for _, event := range h.GetEvents() {
		started := event.GetWorkflowExecutionStartedEventAttributes()
		accepted := event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput()
		var err error
		switch {
		case started.GetWorkflowType().GetName() == payment.WorkflowCharge:
			err = addFingerprint[payment.ChargeRequest](started.GetInput(), replacements)
		case started.GetWorkflowType().GetName() == payment.WorkflowRefund:
			err = addFingerprint[payment.RefundRequest](started.GetInput(), replacements)
		case accepted.GetName() == payment.UpdateResolve:
			err = addResolution(accepted.GetArgs(), replacements)
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", event.GetEventId(), err)
		}
	}
	var pairs []string
	for _, old := range slices.Sorted(maps.Keys(replacements)) {
		pairs = append(pairs, old, replacements[old])
	}
	return strings.NewReplacer(pairs...), nil
}

// addFingerprint adds the fingerprint of a request, and its replacement: that of the scrubbed request.
func addFingerprint[R interface{ Fingerprint() string }](input *commonpb.Payloads, replacements map[string]string) error {
	var before, after R
	if err := converter.GetDefaultDataConverter().FromPayloads(input, &before); err != nil {
		return err
	}
	clean, ok := proto.Clone(input).(*commonpb.Payloads)
	if !ok {
		return errors.New("the clone of payloads is not payloads")
	}
	scrubPayload := func(p *commonpb.Payload) error { return scrub(p, strings.NewReplacer()) }
	if err := forEachPayload(clean.ProtoReflect(), scrubPayload); err != nil {
		return err
	}
	if err := converter.GetDefaultDataConverter().FromPayloads(clean, &after); err != nil {
		return err
	}
	replacements[before.Fingerprint()] = after.Fingerprint()
	return nil
}

// addResolution adds the fingerprint of an operator's resolution and the text in which the workflow describes it.
func addResolution(args *commonpb.Payloads, replacements map[string]string) error {
	var before payment.Resolution
	if err := converter.GetDefaultDataConverter().FromPayloads(args, &before); err != nil {
		return err
	}
	after := before
	after.By, after.Evidence = scrubbed, scrubbed
	replacements[before.Fingerprint()] = after.Fingerprint()
	// The format is that of package workflows, and of recorded histories.
	const format = "resolved by %s: %s"
	replacements[fmt.Sprintf(format, before.By, before.Evidence)] = fmt.Sprintf(format, after.By, after.Evidence)
	return nil
}

// forEachPayload calls visit for every payload in a message. It stops at the first error and returns it.
func forEachPayload(m protoreflect.Message, visit func(*commonpb.Payload) error) (err error) {
	if p, ok := m.Interface().(*commonpb.Payload); ok {
		return visit(p)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = forEachPayload(v.Message(), visit)
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = forEachPayload(v.List().Get(i).Message(), visit)
			}
		case f.Message() != nil && !f.IsMap():
			err = forEachPayload(v.Message(), visit)
		}
		return err == nil
	})
	return err
}

// scrub removes the personal fields from a payload and applies the replacer to its other strings.
func scrub(p *commonpb.Payload, replacer *strings.Replacer) error {
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
	clean, err := json.Marshal(scrubValue(value, replacer))
	p.Data = clean
	return err
}

// isObject reports whether a value is an object: evidence of Florin's is, such as that of a divergence, and its fields are scrubbed like
// any other.
func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

// scrubValue scrubs a decoded JSON value. It modifies maps and slices in place.
func scrubValue(value any, replacer *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return replacer.Replace(v)
	case []any:
		for i := range v {
			v[i] = scrubValue(v[i], replacer)
		}
	case map[string]any:
		for name, field := range v {
			switch {
			case slices.Contains(removed, name):
				delete(v, name)
			case slices.Contains(replaced, name) && !isObject(field):
				v[name] = scrubbed
			default:
				v[name] = scrubValue(field, replacer)
			}
		}
	}
	return value
}
