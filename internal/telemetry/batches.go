package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/florinpay/florin/internal/store"
	"github.com/florinpay/florin/payment"
)

func newBatchLines() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "florin_batch_lines_total", Help: "Lines of batches that have ended, by the status with which they ended.",
	}, []string{"status"})
}

// CountBatchLines counts lines of a batch that have ended. It does nothing if t is nil.
func (t *Telemetry) CountBatchLines(status payment.Status, lines int64) {
	if t != nil {
		t.batchLines.WithLabelValues(string(status)).Add(float64(lines))
	}
}

var (
	batchesUnfinished = newGauge("batches_unfinished", "Batches that have not finished, by state."+sharedValue, "state")
	batchLinesWaiting = newGauge("batch_lines_waiting", "Lines that are not started, of batches in this state."+sharedValue, "state")
	batchLinesOpen    = newGauge("batch_lines_open", "Lines that are started and have not ended, of batches in this state."+sharedValue, "state")
	batchIdle         = newGauge("batch_idle_seconds",
		"Time since lines were started or ended, of the running batch with waiting lines for which that is longest; 0 if there is none."+sharedValue)
	batchUnattended = newGauge("batch_unattended_seconds",
		"Time since anything has worked on the batch that has not finished, in this state, for which that is longest; 0 if there is none."+sharedValue, "state")
)

// unfinishedStates are the states of batches that have not finished.
var unfinishedStates = []payment.BatchState{payment.BatchReceiving, payment.BatchRunning, payment.BatchPaused, payment.BatchCanceled}

func setBatches(set setFunc, backlog map[payment.BatchState]store.BatchBacklog) {
	since := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return max(time.Since(t).Seconds(), 0)
	}
	for _, state := range unfinishedStates {
		set(batchesUnfinished, float64(backlog[state].Batches), string(state))
		set(batchLinesWaiting, float64(backlog[state].Waiting), string(state))
		set(batchLinesOpen, float64(backlog[state].Open), string(state))
		set(batchUnattended, since(backlog[state].OldestAttention), string(state))
	}
	set(batchIdle, since(backlog[payment.BatchRunning].OldestProgress))
}
