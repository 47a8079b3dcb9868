package main

import "slices"

// victim is a process that can be killed.
type victim string

const (
	worker    victim = "worker"
	simulated victim = "simulator" // not named simulator, because that is an imported package
	temporal  victim = "temporal"
	database  victim = "database"
)

var victims = []victim{worker, simulated, temporal, database}

// point is a moment in an exchange between two processes. A proxy sees it on the wire, and a victim can be killed there.
type point string

// The moments of a request to the processor: the proxy has received the request, the proxy has just forwarded the
// request, the proxy has received the response.
const (
	beforeSend     point = "before the request is sent"
	executing      point = "while the processor executes it"
	beforeResponse point = "before the response is returned"
)

// The moments of a request to Temporal and of a write to the store: the proxy has received the request, the proxy has
// received the response.
const (
	before point = "before"
	after  point = "after"
)

// beforeCommit is the moment when the statement was executed, and its transaction is about to be committed.
const beforeCommit point = "before the commit"

// at returns the point of an exchange at a moment.
func at(exchange string, moment point) point { return point(exchange+", ") + moment }

// The exchanges.
const (
	chargeCall, refundCall, captureCall, voidCall = "charge", "refund", "capture", "void"
	inlineCharge, inlineRefund                    = "charge, inline", "refund, inline"
	chargeLookup, refundLookup                    = "lookup of a charge", "lookup of a refund"
	activityCompleted, activityFailed             = "activity completed", "activity failed"
	workflowTask                                  = "workflow task completed"
	beginPayment, recordPayment                   = "store: begin payment", "store: record payment"
	reserveRefund, recordRefund                   = "store: reserve refund", "store: record refund"
)

// row is a point of the matrix, with the victims that are killed there and the need of a purchase that reaches it.
type row struct {
	point   point
	victims []victim
	needs   need
}

// need is what a purchase must include so that it is certain to reach a point.
type need int

const (
	anyPurchase need = iota
	needInline
	needQueued
	needLookup
	needFailure
	needCapture
	needVoid
	needRefund
	needInlineRefund
	needQueuedRefund
	needRefundLookup
)

// matrix lists every point and the victims that are killed there.
var matrix = slices.Concat(
	rowsOf(inlineCharge, needInline, []victim{worker, simulated}, beforeSend, executing, beforeResponse),
	rowsOf(inlineRefund, needInlineRefund, []victim{worker, simulated}, beforeSend, executing, beforeResponse),
	rowsOf(chargeCall, needQueued, []victim{worker, simulated}, beforeSend, executing, beforeResponse),
	rowsOf(refundCall, needQueuedRefund, []victim{worker, simulated}, beforeSend, executing, beforeResponse),
	rowsOf(captureCall, needCapture, []victim{worker, simulated}, beforeSend, beforeResponse),
	rowsOf(voidCall, needVoid, []victim{worker, simulated}, beforeSend, beforeResponse),
	rowsOf(chargeLookup, needLookup, []victim{worker, simulated}, beforeSend, beforeResponse),
	rowsOf(refundLookup, needRefundLookup, []victim{worker, simulated}, beforeSend, beforeResponse),
	rowsOf(activityCompleted, needQueued, []victim{worker, temporal}, before, after),
	rowsOf(activityFailed, needFailure, []victim{worker, temporal}, before, after),
	rowsOf(workflowTask, anyPurchase, []victim{worker, temporal}, before, after),
	rowsOf(beginPayment, anyPurchase, []victim{worker, database}, before, after),
	rowsOf(recordPayment, anyPurchase, []victim{worker, database}, before, after),
	rowsOf(reserveRefund, needRefund, []victim{worker, database}, before, beforeCommit, after),
	rowsOf(recordRefund, needRefund, []victim{worker, database}, before, after),
)

func rowsOf(exchange string, needs need, victims []victim, moments ...point) (rows []row) {
	for _, moment := range moments {
		rows = append(rows, row{point: at(exchange, moment), victims: victims, needs: needs})
	}
	return rows
}

// cell is one point with one victim.
type cell struct {
	point  point
	victim victim
	needs  need
}

// cells returns the cells of the matrix. With SQLite it omits the points of the store: there is no wire to a database.
func cells(sqlite bool) (all []cell) {
	for _, r := range matrix {
		if sqlite && slices.Contains(r.victims, database) {
			continue
		}
		for _, v := range r.victims {
			all = append(all, cell{point: r.point, victim: v, needs: r.needs})
		}
	}
	return all
}
