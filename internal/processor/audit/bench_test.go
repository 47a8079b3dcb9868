package audit

import (
	"io"
	"testing"

	"go.uber.org/zap/zapcore"
)

func BenchmarkWrite(b *testing.B) { benchmarkWrite(b, charge()) }

func BenchmarkWriteChained(b *testing.B) {
	l := chained(zapcore.AddSync(io.Discard), Options{})
	r := charge()
	b.ReportAllocs()
	for b.Loop() {
		l.Write(r)
	}
}

func BenchmarkWriteForm(b *testing.B) {
	r := charge()
	r.RequestType, r.Request, r.Fields = formEncoded, []byte(stripeCharge), fieldsOf(b, known, formFields)
	benchmarkWrite(b, r)
}

func benchmarkWrite(b *testing.B, r Record) {
	b.Helper()
	l := New(zapcore.AddSync(io.Discard), Options{})
	b.Logf("request %d bytes, answer %d bytes, line %d bytes", len(r.Request), len(r.Answer), len(written(b, r)))
	b.ReportAllocs()
	for b.Loop() {
		l.Write(r)
	}
}
