package replaytest_test

// sold is a completed sale.
const sold = waiting + `
	TimerFired {"timerId":"13","startedEventId":"15"}
	Task
	>WorkflowPropertiesModified {"upsertedMemo":{"fields":{"note":"thanks"}}}
	>StartChildWorkflowExecutionInitiated {"workflowId":"ship/1","workflowType":{"name":"Ship"},"taskQueue":{"name":"shipping","kind":"Normal"},"input":["key-1"]}
	ChildWorkflowExecutionStarted {"initiatedEventId":"21","workflowExecution":{"workflowId":"ship/1","runId":"run-2"},"workflowType":{"name":"Ship"}}
	ChildWorkflowExecutionCompleted {"initiatedEventId":"21","startedEventId":"22","workflowExecution":{"workflowId":"ship/1","runId":"run-2"},"workflowType":{"name":"Ship"}}
	Task
	>SignalExternalWorkflowExecutionInitiated {"workflowExecution":{"workflowId":"till/1"},"signalName":"sale","input":["sold"],"control":"27"}
	ExternalWorkflowExecutionSignaled {"initiatedEventId":"27","workflowExecution":{"workflowId":"till/1"},"control":"27"}
	Task` + `
	>WorkflowExecutionCompleted {"result":[{"status":"sold","amount":1250}]}`

// paying is the sale up to the completion of its payment. paid also has the workflow task that follows.
const (
	paying = `
	WorkflowExecutionStarted {"workflowType":{"name":"Sell"},"taskQueue":{"name":"sales"},"input":[{"key":"key-1","amount":1250}],"originalExecutionRunId":"run-1","workflowId":"sell/1","searchAttributes":{"indexedFields":{"Status":"new"}}}
	Task
	>MarkerRecorded {"markerName":"LocalActivity","details":{"data":[{"ActivityID":"1","ActivityType":"Store","Attempt":1}],"result":[{"status":"begun","amount":1250,"at":"08:00"}]}}
	>UpsertWorkflowSearchAttributes {"searchAttributes":{"indexedFields":{"Status":"sold","Gone":null}}}
	>ActivityTaskScheduled {"activityId":"7","activityType":{"name":"Pay"},"taskQueue":{"name":"payments","kind":"Normal"},"input":[{"key":"key-1","amount":1250}],"scheduleToCloseTimeout":"900s","scheduleToStartTimeout":"900s","startToCloseTimeout":"30s","heartbeatTimeout":"0s","retryPolicy":{"initialInterval":"1s","backoffCoefficient":1.5,"maximumInterval":"100s","nonRetryableErrorTypes":["Declined"]}}
	ActivityTaskStarted {"scheduledEventId":"7"}
	ActivityTaskCompleted {"scheduledEventId":"7","startedEventId":"8"}`
	paid = paying + `
	Task`
)

// waiting is a running sale that waits for its timer. It has completed an update.
const waiting = paid + `
	>WorkflowExecutionUpdateAccepted {"protocolInstanceId":"update-1","acceptedRequestMessageId":"update-1/request","acceptedRequestSequencingEventId":"10","acceptedRequest":{"meta":{"updateId":"update-1"},"input":{"name":"price","args":["please"]}}}
	>WorkflowExecutionUpdateCompleted {"meta":{"updateId":"update-1"},"acceptedEventId":"13","outcome":{"success":["1250 in all"]}}
	>TimerStarted {"timerId":"13","startToFireTimeout":"60s"}`

// Other ways in which the sale continues or ends.
const (
	terminated = waiting + `
	WorkflowExecutionTerminated {"reason":"a test"}`
	// terminatedInTask is terminated while a worker processes a workflow task.
	terminatedInTask = waiting + `
	TimerFired {"timerId":"13","startedEventId":"15"}
	WorkflowTaskScheduled
	WorkflowTaskStarted {"scheduledEventId":"17"}
	WorkflowExecutionTerminated {"reason":"a test"}`
	timedOut = waiting + `
	WorkflowExecutionTimedOut`
	canceled = waiting + `
	WorkflowExecutionCancelRequested
	Task
	>TimerCanceled {"timerId":"13","startedEventId":"15"}
	>WorkflowExecutionCanceled`
	failed = paid + `
	>WorkflowExecutionFailed {"failure":{"message":"sold out","source":"GoSDK","stackTrace":"of another version","applicationFailureInfo":{"type":"SoldOut","nonRetryable":true,"details":[{"left":0}]}}}`
	continued = paid + `
	>WorkflowExecutionContinuedAsNew {"newExecutionRunId":"run-2","workflowType":{"name":"Sell"},"taskQueue":{"name":"sales","kind":"Normal"},"input":[{"key":"key-2","amount":1250}]}`
	// updateFailed has an update that failed.
	updateFailed = paid + `
	>WorkflowExecutionUpdateAccepted {"protocolInstanceId":"update-1","acceptedRequestMessageId":"update-1/request","acceptedRequestSequencingEventId":"10","acceptedRequest":{"meta":{"updateId":"update-1"},"input":{"name":"price","args":["now"]}}}
	>WorkflowExecutionUpdateCompleted {"meta":{"updateId":"update-1"},"acceptedEventId":"13","outcome":{"failure":{"message":"want please","source":"GoSDK","applicationFailureInfo":{"type":"Closed"}}}}
	>TimerStarted {"timerId":"13","startToFireTimeout":"60s"}`
	// reset is a sale that was reset after its payment.
	reset = paying + `
	WorkflowTaskScheduled
	WorkflowTaskStarted {"scheduledEventId":"10"}
	WorkflowTaskFailed {"scheduledEventId":"10","startedEventId":"11","cause":"ResetWorkflow","baseRunId":"run-1","newRunId":"run-9"}
	Task
	>TimerStarted {"timerId":"16","startToFireTimeout":"60s"}`
)
