package app

import (
	"errors"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/config"
)

const (
	mebibyte = 1 << 20
	// defaultMemory is the budget of a worker without a configured one and without a container's limit.
	defaultMemory = 1024 * mebibyte
	// workflowMemory is what a payment that waits for a capture adds to the memory of the process, by `make memory`, rounded up: 40 KiB
	// in use, and what the garbage collector lets accumulate.
	workflowMemory = 70 << 10
	// garbage is how many percent of the memory in use the garbage collector lets accumulate. The limit of the Go runtime keeps the process
	// within its memory; with the default of 100, a small process would spend a tenth of a charge's CPU time on collections.
	garbage = 400
	// fewestWorkflows keeps the workflows in memory whose next task comes at once, and mostWorkflows is the SDK's own default.
	fewestWorkflows, mostWorkflows = 100, 10_000
)

// BoundMemory keeps this process within the memory that the configuration gives it, and lets it use that: it sets the limit of the Go
// runtime, how often garbage is collected below it, and the size of the SDK's cache of workflows, and logs them. They are global: only a process that runs nothing but a worker may call it, before it
// builds any [Workers].
func BoundMemory(c config.Worker, logger *zap.Logger) {
	memory, source := memoryBudget(c.MemoryMB, memlimit.FromCgroup)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory / 10 * 9)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	workflows := CachedWorkflows(memory)
	worker.SetStickyWorkflowCacheSize(workflows)
	logger.Info("memory is bounded", zap.Int64("memory_mb", memory/mebibyte), zap.String("source", source),
		zap.Int64("go_limit_mb", debug.SetMemoryLimit(-1)/mebibyte), zap.Int("cached_workflows", workflows))
}

// memoryBudget returns the bytes that the process may use, and what says so. container returns the limit of the container.
func memoryBudget(configuredMB int, container memlimit.Provider) (bytes int64, source string) {
	if configuredMB > 0 {
		return int64(configuredMB) * mebibyte, "worker.memory_mb"
	}
	limit, err := container()
	switch {
	case err == nil && limit > 0 && limit < 1<<62:
		return int64(limit), "container"
	case err == nil, errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return defaultMemory, "default"
	default: // such as a limit that this process must not read
		return defaultMemory, "default: " + err.Error()
	}
}

// CachedWorkflows returns how many workflows fit into half of the memory, in bytes. The other half is for everything else, and for payments
// with more metadata than most.
func CachedWorkflows(memory int64) int {
	return int(min(max(memory/2/workflowMemory, fewestWorkflows), mostWorkflows))
}
