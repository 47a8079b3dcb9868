package workflows

import "go.temporal.io/sdk/workflow"

// Version gates: what payments in flight must go on doing as they began, because their histories say so. Each gate is one
// function, named for what is new, and is asked only where the new code would do something else: the answer becomes part
// of the history, as two events. A gate goes when no history from before it can be open any more; recorded histories that
// needed it go with it.

// absenceProvesWhatNobodyTook: where no worker took a call in its time, the first lookup that finds nothing is proof. Before,
// it was like any lost answer, for which absence has to last for absence_proof_after, if that is configured at all.
func absenceProvesWhatNobodyTook(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "absence-proves-what-nobody-took", workflow.DefaultVersion, 1) >= 1
}
