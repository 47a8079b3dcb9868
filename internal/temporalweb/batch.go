package temporalweb

// BatchSummary returns the summary of a batch in lists of workflows, in one line.
func BatchSummary(name string) string { return "batch " + Escape(name) }

// BatchDetails returns the description of a batch on its workflow's page, in Markdown.
func BatchDetails(name string) string {
	return "A file of charges and refunds. Each line is a workflow of its own, started by this one. Progress: " +
		"`starter batch status` " + Escape(name) + "\n\n[Runbook](" + Runbook + "#florinbatchstalled)"
}
