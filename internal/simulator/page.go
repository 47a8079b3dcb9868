package simulator

// The page for people.

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
<p>A processor that moves no money. A charge does what its token says; so does what follows
it, a capture, a void or a refund, by the token that paid.</p>

<h2>Ledger</h2>
{{if .Counts}}<table>
<tr><th>What<th>Status<th>Number
{{range .Counts}}<tr><td>{{.Kind}}<td>{{.Status}}<td>{{.Number}}
{{end}}</table>
<p>All of it: <code>GET /ledger</code>, with the API key.</p>
{{else}}<p>Empty so far.</p>{{end}}

<h2>Chance</h2>
<p>Random faults: {{with .Faults}}<code>{{.}}</code>{{else}}none{{end}}. Latency: {{.Latency}}. Seed: {{.Seed}}.
What is pending settles after {{.PendingFor}}.</p>

<h2>Tokens</h2>
<table>
<tr><th>Token<th>Faulty call<th>What it does<th>A correct client ends at
{{range .Tokens}}<tr><td><code>{{.Name}}</code><td>{{.Scope}}<td>{{.Does}}<td>{{.Ends}}
{{end}}</table>
</html>
`))

func (s *Simulator) showPage(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	counts, err := s.counts(r.Context())
	s.active.Done()
	var rendered bytes.Buffer
	if err == nil {
		err = pageTemplate.Execute(&rendered, map[string]any{
			"Counts": counts, "Faults": s.faults.String(), "Latency": s.latency.String(), "Seed": s.seed,
			"PendingFor": s.pendingFor.String(), "Tokens": Tokens(),
		})
	}
	if err != nil {
		s.log.Error("page failed", zap.Error(err))
		http.Error(w, "the page failed, see the simulator's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(rendered.Bytes())
}
