package workflows

// Version gates keep payments in flight on the code that began them, because their histories say so. Each gate is one function in this
// file, named for what is new, and asked only where the new code would issue other commands: the answer becomes part of the history,
// as two events. A gate stands alone, never as an operand in a condition, so that the commands do not depend on what is evaluated
// first. It begins as one line here, before the change itself, and the histories of before it stay as they are: they are sealed
// (testdata/histories/SHA256SUMS). A gate looks like this:
//
//	if newBehaviour(ctx) {
//		…
//	}
//
// A gate is removed once no history from before it can be running any more, and the recorded histories that need it with it. Nothing is
// gated today.
