// Package replaytest replays saved workflow histories and finds what the code does otherwise than the histories have it.
//
// The SDK's own replayer finds that a workflow would get stuck: it compares the order of commands, their ids and the names
// of activities. A changed amount, idempotency key, task queue, timeout or result passes it. This package runs that
// replayer and also compares, field by field,
//
//   - of an activity its type, input, task queue, timeouts and retry policy, as a server fills them in;
//   - of a local activity that it is called; a history has no input of it, see Echo;
//   - how long timers last;
//   - search attributes and memos;
//   - of child workflows and signals to other workflows their names, ids, task queue and input;
//   - what accepted updates answer;
//   - how the workflow ends, when, and with which result or failure.
//
// What people read does not count: summaries, details, logs. Nor do headers, priorities, the options of local activities, or
// what queries answer: a history has nothing of them, or nothing that money depends on.
//
// A history may be of any end: completed, failed, cancelled, continued as new; timed out or terminated, or not ended yet,
// where only what the workflow has done so far is compared; or reset, where every part is replayed as the run that it was.
//
// Save histories with
//
//	temporal workflow show --workflow-id ID --output json > testdata/histories/ID.json
//
// compressed by gzip if you like, and replay them in a test:
//
//	func TestHistoriesReplay(t *testing.T) {
//		replaytest.Run(t, "testdata/histories", replaytest.Options{Register: workflows.Register})
//	}
package replaytest
