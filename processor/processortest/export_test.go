package processortest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Scenarios returns the names of all scenarios.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Documents returns the document of each scenario, by its name.
func Documents() map[string]string {
	documents := map[string]string{}
	for _, s := range scenarios {
		documents[s.name] = s.doc
	}
	return documents
}

// Failure runs one scenario up to its first failing subtest. It returns the failure, empty if there is none, and the reason if
// the scenario was skipped.
func Failure(t *testing.T, p Protocol, name string) (failure, skipped string) {
	t.Helper()
	for _, s := range scenarios {
		if s.name == name {
			r := &recorder{ctx: t.Context()}
			r.Run(name, func(t tester) { s.in(t, p) })
			return strings.Join(r.failures, "\n"), r.skipped
		}
	}
	t.Fatalf("unknown scenario %q", name)
	return "", ""
}

// recorder is a tester that records failures instead of failing the test.
type recorder struct {
	ctx      context.Context
	name     string
	failures []string
	skipped  string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) FailNow()                 { runtime.Goexit() }
func (r *recorder) Skip(why ...any) {
	r.skipped = fmt.Sprint(why...)
	runtime.Goexit()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, r.name+": "+fmt.Sprintf(format, args...))
}

// Run runs f until it returns or calls FailNow or Skip, and then its cleanups. After a failure it ends the parent, too.
func (r *recorder) Run(name string, f func(tester)) bool {
	ctx, cancel := context.WithCancel(r.ctx)
	sub := &recorder{ctx: ctx, name: r.name + "/" + name}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(sub)
	}()
	<-done
	cancel()
	for i := len(sub.cleanups) - 1; i >= 0; i-- {
		sub.cleanups[i]()
	}
	r.failures = append(r.failures, sub.failures...)
	if r.name == "" {
		r.skipped = sub.skipped
	}
	if len(sub.failures) > 0 && r.name != "" {
		r.FailNow()
	}
	return len(sub.failures) == 0
}

// Check exports Protocol.check.
func Check(p Protocol) error { return p.check() }
