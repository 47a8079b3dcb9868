package processortest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenario is one requirement that every adapter must meet.
type scenario struct {
	// name is the rule: it states what must hold.
	name string
	// doc is the section of the documentation that the rule comes from.
	doc string
	// skip returns why the scenario does not apply to a protocol, or "" if it applies. Nil: it always applies.
	skip func(Protocol) string
	run  func(tester, Protocol)
}

// scenarios are all scenarios, in the order in which they run.
var scenarios = slices.Concat(requestScenarios, keyScenarios, resultScenarios, jsonScenarios, textScenarios,
	failureScenarios, lookupScenarios,
	listScenarios, secretScenarios, batchScenarios)

// in runs or skips the scenario for a protocol.
func (s scenario) in(t tester, p Protocol) {
	t.Helper()
	if s.skip != nil {
		if why := s.skip(p); why != "" {
			t.Skip(why)
		}
	}
	s.run(ruled{tester: t, scenario: s}, p)
}

// The sections of docs/adapters.md that rules come from.
const (
	docProfile = "docs/adapters.md#1-the-profile"
	docMapping = "docs/adapters.md#2-the-mapping"
	docBatches = "docs/adapters.md#batches"
	docClient  = "docs/adapters.md#4-what-the-client-does-and-an-adapter-never-does"
)

// ruled is the tester through which a scenario reports: the first line of each failure is the rule and its document.
type ruled struct {
	tester
	scenario scenario
}

func (r ruled) Errorf(format string, args ...any) {
	r.Helper()
	r.tester.Errorf("%s (%s)\n%s", r.scenario.name, r.scenario.doc, strings.TrimLeft(fmt.Sprintf(format, args...), "\n"))
}

func (r ruled) Run(name string, f func(tester)) bool {
	return r.tester.Run(name, func(t tester) { f(ruled{tester: t, scenario: r.scenario}) })
}

// tester is the part of *testing.T that scenarios use. It is an interface so that the tests of this package can run a
// scenario that is expected to fail.
type tester interface {
	require.TestingT
	Helper()
	Context() context.Context
	Cleanup(func())
	Skip(...any)
	Run(name string, f func(tester)) bool
}

// testingT implements tester with a *testing.T.
type testingT struct{ *testing.T }

func (t testingT) Run(name string, f func(tester)) bool {
	return t.T.Run(name, func(t *testing.T) { f(testingT{t}) })
}

// sorted returns the keys of m in order, so that subtests run in the same order every time.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// concurrently makes n calls at the same time and returns their results.
func concurrently[V any](n int, call func(int) V) []V {
	all := make([]V, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { all[i] = call(i) })
	}
	done.Wait()
	return all
}
