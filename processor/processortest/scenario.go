package processortest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenario is one thing that an adapter has to do.
type scenario struct {
	name string
	// lacks says why the protocol has no use for it; nil or "": it has.
	lacks func(Protocol) string
	run   func(tester, Protocol)
}

// scenarios is all of it, in the order to read it.
var scenarios = slices.Concat(requests, keys, results, failures, lookups, lists, secrets)

func (s scenario) in(t tester, p Protocol) {
	t.Helper()
	if s.lacks != nil {
		if why := s.lacks(p); why != "" {
			t.Skip(why)
		}
	}
	s.run(t, p)
}

// tester is what scenarios need of a *testing.T, so that the suite's own tests can see one fail.
type tester interface {
	require.TestingT
	Helper()
	Context() context.Context
	Cleanup(func())
	Skip(...any)
	Run(name string, f func(tester)) bool
}

type test struct{ *testing.T }

func (t test) Run(name string, f func(tester)) bool {
	return t.T.Run(name, func(t *testing.T) { f(test{t}) })
}

// sorted makes the order of subtests the same in every run.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// concurrently makes n calls at once, and returns what each of them brought.
func concurrently[V any](n int, call func(int) V) []V {
	all := make([]V, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { all[i] = call(i) })
	}
	done.Wait()
	return all
}
