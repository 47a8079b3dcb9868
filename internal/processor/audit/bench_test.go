package audit

import (
	"io"
	"testing"

	"go.uber.org/zap/zapcore"
)

func BenchmarkWrite(b *testing.B) {
	l := New(zapcore.AddSync(io.Discard), Options{})
	r := charge()
	b.Logf("request %d bytes, answer %d bytes, line %d bytes", len(r.Request), len(r.Answer), len(written(b, r)))
	b.ReportAllocs()
	for b.Loop() {
		l.Write(r)
	}
}
