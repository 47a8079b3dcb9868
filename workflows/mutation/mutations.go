package main

// mutation is one edit of the source, after which it still compiles. Each is a kind of bug that costs money in production.
type mutation struct {
	name string
	// file is relative to the module. It must contain old exactly once, which changed replaces.
	file, old, changed string
}

var mutations = []mutation{
	{
		name: "order of steps: store before the result is applied", file: "workflows/operation.go",
		old:     "\tcase adopted:\n\t\to.subject.adopt(ctx, out.result)\n",
		changed: "\tcase adopted:\n\t\tdefer o.subject.adopt(ctx, out.result)\n",
	},
	{
		name: "idempotency key: sequence starts at 1", file: "payment/ids.go",
		old: "strconv.Itoa(sequence))", changed: "strconv.Itoa(sequence+1))",
	},
	{
		name: "amount: capture everything instead of a part", file: "workflows/modification.go",
		old:     "Amount: m.amount, Currency: c.value.Currency,\n\t\t}\n\t\treturn op",
		changed: "Amount: c.value.Amount, Currency: c.value.Currency,\n\t\t}\n\t\treturn op",
	},
	{
		name: "currency: always refund in EUR", file: "activities/inline.go",
		old: "Currency:           r.Currency,", changed: "Currency:           \"EUR\",",
	},
	{
		name: "retry policy: retry final errors", file: "workflows/send.go",
		old: "NonRetryableErrorTypes: activities.NeverRetried,", changed: "NonRetryableErrorTypes: nil,",
	},
	{
		name: "timer: look up without waiting", file: "workflows/lookup.go",
		old: "AwaitOptions{Timeout: d,", changed: "AwaitOptions{Timeout: 0 * d,",
	},
	{
		name: "activity: capture instead of void", file: "workflows/modification.go",
		old: "op.activity = payment.ActivityProcessorVoid", changed: "op.activity = payment.ActivityProcessorCapture",
	},
	{
		name: "task queue: operations on the queue of the workflows", file: "workflows/send.go",
		old:     "TaskQueue:              payment.ProcessorTaskQueue(o.terms.Processor),\n\t\tStartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: min(time.Duration(o.terms.ScheduleToClose), left),",
		changed: "TaskQueue:              payment.TaskQueue,\n\t\tStartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: min(time.Duration(o.terms.ScheduleToClose), left),",
	},
	{
		name: "timeout: no limit for a single attempt", file: "workflows/send.go",
		old:     "StartToCloseTimeout:    time.Duration(o.terms.StartToClose),\n\t\tScheduleToCloseTimeout: min(time.Duration(o.terms.ScheduleToClose), left),",
		changed: "ScheduleToCloseTimeout: min(time.Duration(o.terms.ScheduleToClose), left),",
	},
	{
		name: "first attempt: it is forgotten unless its response is persisted", file: "workflows/operation.go",
		old: "\t\to.first = first\n", changed: "\t\to.first = nil\n",
	},
	{
		name: "ambiguity: what the first attempt left open does not go with the next call", file: "workflows/send.go",
		old: "args, o.before = append(args, o.before), activities.Before{}", changed: "args, o.before = args[:1], activities.Before{}",
	},
	{
		name: "result: report the whole amount as captured", file: "workflows/charge.go",
		old:     "= r.RequestID, r.CapturedAmount\n",
		changed: "= r.RequestID, r.Amount\n",
	},
}
