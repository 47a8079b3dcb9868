package simulator

// The HTML page at GET /: the ledger's totals, the settings and the tokens. It needs no API key.

import (
	"bytes"
	"html/template"
	"net/http"

	"go.uber.org/zap"
)

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Payment simulator</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
td:last-child { white-space: nowrap }
</style>
<h1>Payment simulator</h1>
<p>A payment processor for development and tests. It moves no money. The token of a charge selects a fault, or none.
Captures, voids and refunds of a payment use the token of its charge.</p>

<h2>Ledger</h2>
{{if .Counts}}<table>
<tr><th>Entries<th>Status<th>Count
{{range .Counts}}<tr><td>{{.Kind}}<td>{{.Status}}<td>{{.Count}}
{{end}}</table>
<p><code>GET /ledger</code> returns all entries. It needs the API key.</p>
{{else}}<p>The ledger is empty.</p>{{end}}

<h2>Settings</h2>
<p>Random faults: {{with .Faults}}<code>{{.}}</code>{{else}}none{{end}}. Latency: {{.Latency}}. Seed: {{.Seed}}.
Later changes of payments and refunds, such as from pending to succeeded, happen after {{.PendingFor}}.</p>
<p>The random faults that can be set, with their probabilities: {{.FaultNames}}</p>

<h2>Tokens</h2>
<table>
<tr><th>Token<th>Operation<th>What the simulator does<th>Expected status
{{range .Tokens}}<tr><td><code>{{.Name}}</code><td>{{.Scope}}<td>{{.Description}}<td>{{.ExpectedStatus}}
{{end}}</table>
</html>
`))

func (s *Simulator) servePage(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	counts, err := s.countByStatus(r.Context())
	s.active.Done()
	var rendered bytes.Buffer
	if err == nil {
		err = pageTemplate.Execute(&rendered, map[string]any{
			"Counts": counts, "Faults": s.faults.String(), "FaultNames": FaultNames, "Latency": s.latency.String(), "Seed": s.seed,
			"PendingFor": s.pendingFor.String(), "Tokens": Tokens(),
		})
	}
	if err != nil {
		s.log.Error("rendering the page failed", zap.Error(err))
		http.Error(w, "the page could not be rendered: see the simulator's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(rendered.Bytes())
}
