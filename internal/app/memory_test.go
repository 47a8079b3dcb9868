package app

import (
	"errors"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/florinpay/florin/internal/config"
)

func TestMemoryBudgetIsTheConfiguredOneOrThatOfTheContainer(t *testing.T) {
	none := func(err error) memlimit.Provider { return func() (uint64, error) { return 0, err } }
	for _, tt := range []struct {
		name       string
		configured int
		container  memlimit.Provider
		wantMB     int64
		wantSource string
	}{
		{name: "configured", configured: 300, container: memlimit.Limit(512 * mebibyte), wantMB: 300, wantSource: "worker.memory_mb"},
		{name: "container", container: memlimit.Limit(512 * mebibyte), wantMB: 512, wantSource: "container"},
		{name: "container without a limit", container: none(memlimit.ErrNoLimit), wantMB: 1024, wantSource: "default"},
		{name: "no container", container: none(memlimit.ErrNoCgroup), wantMB: 1024, wantSource: "default"},
		{name: "another system", container: none(memlimit.ErrCgroupsNotSupported), wantMB: 1024, wantSource: "default"},
		{name: "not readable", container: none(errors.New("not permitted")), wantMB: 1024, wantSource: "default: not permitted"},
		{name: "more than a number of bytes", container: memlimit.Limit(1<<64 - 1), wantMB: 1024, wantSource: "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bytes, source := memoryBudget(tt.configured, tt.container)
			require.Equal(t, tt.wantMB*mebibyte, bytes)
			require.Equal(t, tt.wantSource, source)
		})
	}
}

func TestCachedWorkflowsTakeHalfOfTheMemory(t *testing.T) {
	for _, tt := range []struct {
		memoryMB int64
		want     int
	}{
		{memoryMB: 4, want: 100}, {memoryMB: 128, want: 936}, {memoryMB: 512, want: 3744}, {memoryMB: 1024, want: 7489},
		{memoryMB: 1368, want: 10_000}, {memoryMB: 1 << 20, want: 10_000},
	} {
		require.Equal(t, tt.want, CachedWorkflows(tt.memoryMB*mebibyte), "%d MiB", tt.memoryMB)
	}
}

func TestMemoryOfTheGoRuntimeIsBoundedUnlessTheEnvironmentSaysHow(t *testing.T) {
	before, garbageBefore := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() {
		debug.SetMemoryLimit(before)
		debug.SetGCPercent(garbageBefore)
		worker.SetStickyWorkflowCacheSize(mostWorkflows)
	})
	for _, tt := range []struct {
		name, limit, percent string
		want                 int64
		wantPercent          int
	}{
		{name: "neither is set", want: 2000 * mebibyte / 10 * 9, wantPercent: garbage},
		{name: "GOMEMLIMIT is set", limit: "777MiB", want: 777 * mebibyte, wantPercent: garbage},
		{name: "GOGC is set", percent: "50", want: 2000 * mebibyte / 10 * 9, wantPercent: 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", tt.limit)
			t.Setenv("GOGC", tt.percent)
			debug.SetMemoryLimit(777 * mebibyte) // as the runtime does for the variables
			debug.SetGCPercent(50)
			core, logs := observer.New(zapcore.InfoLevel)
			BoundMemory(config.Worker{MemoryMB: 2000}, zap.New(core))
			require.Equal(t, tt.want, debug.SetMemoryLimit(-1))
			require.Equal(t, tt.wantPercent, debug.SetGCPercent(100))
			require.Equal(t, map[string]any{
				"memory_mb": int64(2000), "source": "worker.memory_mb", "go_limit_mb": tt.want / mebibyte, "cached_workflows": int64(10_000),
			}, logs.FilterMessage("memory is bounded").All()[0].ContextMap())
		})
	}
}
