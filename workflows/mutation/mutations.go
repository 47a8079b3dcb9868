package main

// mutation is one edit of the source. Each is of a kind that has cost somebody money, and compiles.
type mutation struct {
	name string
	// file is below the module; old is found in it exactly once.
	file, old, changed string
}

var mutations = []mutation{
	{
		name: "order of steps: stored before it is adopted", file: "workflows/operation.go",
		old:     "\t\t\to.open = false\n\t\t\to.subject.adopt(ctx, result)\n\t\t\to.subject.tell(ctx, byProcessor(result))\n",
		changed: "\t\t\to.open = false\n\t\t\to.subject.tell(ctx, byProcessor(result))\n\t\t\to.subject.adopt(ctx, result)\n",
	},
	{
		name: "key: counted from 1", file: "payment/ids.go",
		old: "strconv.Itoa(sequence))", changed: "strconv.Itoa(sequence+1))",
	},
	{
		name: "amount: all is captured in place of a part", file: "workflows/orders.go",
		old: "Amount: o.amount, Currency: c.value.Currency,", changed: "Amount: c.value.Amount, Currency: c.value.Currency,",
	},
	{
		name: "currency: refunds always in EUR", file: "workflows/refund.go",
		old: "Currency:           r.value.Currency,", changed: "Currency:           \"EUR\",",
	},
	{
		name: "retry policy: refusals are retried", file: "workflows/operation.go",
		old: "NonRetryableErrorTypes: activities.NeverRetried,", changed: "NonRetryableErrorTypes: nil,",
	},
	{
		name: "timer: lookups do not wait", file: "workflows/resolve.go",
		old: "AwaitOptions{Timeout: d,", changed: "AwaitOptions{Timeout: 0 * d,",
	},
	{
		name: "activity: a capture in place of a void", file: "workflows/orders.go",
		old: "op.activity = payment.ActivityProcessorVoid", changed: "op.activity = payment.ActivityProcessorCapture",
	},
	{
		name: "task queue: calls on the workflows' own", file: "workflows/operation.go",
		old:     "TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),\n\t\tStartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: time.Duration(o.terms.ScheduleToClose),",
		changed: "TaskQueue:              payment.TaskQueue,\n\t\tStartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: time.Duration(o.terms.ScheduleToClose),",
	},
	{
		name: "timeout: one attempt may take as long as all", file: "workflows/operation.go",
		old:     "StartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: time.Duration(o.terms.ScheduleToClose),",
		changed: "ScheduleToCloseTimeout: time.Duration(o.terms.ScheduleToClose),",
	},
	{
		name: "result: all counts as captured", file: "workflows/charge.go",
		old:     "c.value.CapturedAmount = r.CapturedAmount\n\t\tc.value.Decline = r.Decline\n",
		changed: "c.value.CapturedAmount = r.Amount\n\t\tc.value.Decline = r.Decline\n",
	},
}
