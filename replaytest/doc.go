// Package replaytest replays recorded workflow histories and reports where the current code differs from them.
//
// The Temporal SDK's own replayer detects non-determinism: it compares the order of commands, their IDs and the names of
// activities. It accepts a changed amount, idempotency key, task queue, timeout or result. This package runs the SDK's
// replayer and compares, in addition and field by field:
//
//   - activities: type, input, task queue, timeouts and retry policy, with the defaults that a Temporal server fills in;
//   - local activities: that they are called. A history does not contain their input; see [Echo] for a substitute;
//   - timers: their duration;
//   - search attributes and memos;
//   - child workflows and signals to other workflows: name, ID, task queue and input;
//   - accepted updates: their result or failure;
//   - the end of the workflow: how and when it ends, and its result or failure.
//
// It does not compare what only informs a reader: summaries, details and logs. Nor does it compare headers, priorities, the
// options of local activities, and the results of queries: a history does not contain them, or they do not change what the
// workflow does.
//
// Every history can be replayed, however the workflow ended: completed, failed, canceled or continued as new. If it timed
// out, was terminated or is still running, only what it did so far is compared. The history of a reset workflow is replayed
// in parts, each with the run ID that it was recorded with.
//
// # Usage
//
// Save histories with the temporal command:
//
//	temporal workflow show --workflow-id ID --output json > testdata/histories/ID.json
//
// They may be compressed with gzip, as ID.json.gz. Replay them in a test:
//
//	func TestHistoriesReplay(t *testing.T) {
//		replaytest.Run(t, "testdata/histories", replaytest.Options{Register: workflows.Register})
//	}
//
// [Check] does the same for one history, for use outside of tests.
package replaytest
