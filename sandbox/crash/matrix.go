package main

import "slices"

// victim is a process that can be killed.
type victim string

const (
	worker    victim = "worker"
	simulated victim = "simulator"
	temporal  victim = "temporal"
	database  victim = "database"
)

var victims = []victim{worker, simulated, temporal, database}

// point is a moment on the wire between two processes.
type point string

// The moments of a call to the processor: the request has arrived at the proxy, it was passed on just now, the answer
// has arrived at the proxy.
const (
	beforeSend point = "before the send"
	executing  point = "while it is executed"
	afterSend  point = "after the send"
)

// The moments of a request to Temporal, and of a write: it has arrived at the proxy; its answer has.
const (
	before point = "before"
	after  point = "after"
)

// beforeCommit: the statement was executed, its transaction is about to be committed.
const beforeCommit point = "before the commit"

// at names what happens and when.
func at(what string, when point) point { return point(what+", ") + when }

// The names of what happens at the points.
const (
	chargeCall, refundCall, captureCall, voidCall = "charge", "refund", "capture", "void"
	chargeLookup, refundLookup                    = "resolve loop of a charge", "resolve loop of a refund"
	activityCompleted, activityFailed             = "activity completed", "activity failed"
	workflowTask                                  = "workflow task completed"
	begin, record, reserve, settleWrite           = "store: begin", "store: record", "store: reserve", "store: settle"
)

// row is a point of the matrix, with who is killed there and what it takes to get there.
type row struct {
	point   point
	victims []victim
	needs   need
}

// need is a kind of purchase that surely passes a point.
type need int

const (
	anyPurchase need = iota
	aLookup
	aFailure
	aCapture
	aVoid
	aRefund
	aRefundLookup
)

// matrix is everything that is struck.
var matrix = slices.Concat(
	rowsOf(chargeCall, anyPurchase, []victim{worker, simulated}, beforeSend, executing, afterSend),
	rowsOf(refundCall, aRefund, []victim{worker, simulated}, beforeSend, executing, afterSend),
	rowsOf(captureCall, aCapture, []victim{worker, simulated}, beforeSend, afterSend),
	rowsOf(voidCall, aVoid, []victim{worker, simulated}, beforeSend, afterSend),
	rowsOf(chargeLookup, aLookup, []victim{worker, simulated}, beforeSend, afterSend),
	rowsOf(refundLookup, aRefundLookup, []victim{worker, simulated}, beforeSend, afterSend),
	rowsOf(activityCompleted, anyPurchase, []victim{worker, temporal}, before, after),
	rowsOf(activityFailed, aFailure, []victim{worker, temporal}, before, after),
	rowsOf(workflowTask, anyPurchase, []victim{worker, temporal}, before, after),
	rowsOf(begin, anyPurchase, []victim{worker, database}, before, after),
	rowsOf(record, anyPurchase, []victim{worker, database}, before, after),
	rowsOf(reserve, aRefund, []victim{worker, database}, before, beforeCommit, after),
	rowsOf(settleWrite, aRefund, []victim{worker, database}, before, after),
)

func rowsOf(what string, needs need, victims []victim, moments ...point) (rows []row) {
	for _, when := range moments {
		rows = append(rows, row{at(what, when), victims, needs})
	}
	return rows
}

// cell is one point with one victim.
type cell struct {
	point  point
	victim victim
	needs  need
}

// cells are those of the matrix. Without PostgreSQL there is no wire to the store.
func cells(sqlite bool) (all []cell) {
	for _, r := range matrix {
		if sqlite && slices.Contains(r.victims, database) {
			continue
		}
		for _, v := range r.victims {
			all = append(all, cell{r.point, v, r.needs})
		}
	}
	return all
}
