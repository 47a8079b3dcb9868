package telemetry

// The rules, the dashboard and the runbook in deploy/ and docs/ name metrics, labels and each other.

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

const root = "../../"

type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	content, err := os.ReadFile(root + "deploy/prometheus/florin.rules.yml")
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal(content, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// expressions are all that is asked of Prometheus, by who asks.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range rules(t) {
		all[r.Alert] = r.Expr
	}
	content, err := os.ReadFile(root + "deploy/grafana/florin.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" { // all but the data source
			all["variable "+v.Name] = v.Definition
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:florin|temporal|process|go)_[a-z_]+\b`)
	// selector is a metric with what is asked of its labels.
	selector = regexp.MustCompile(`\b((?:florin|temporal|process|go)_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|=|!=)"([^"]*)"`)
)

// base is the name of the family that a series of a histogram belongs to.
func base(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if cut, found := strings.CutSuffix(name, suffix); found && strings.HasSuffix(cut, "_seconds") {
			return cut
		}
	}
	return name
}

// families are our metrics by name, each with the values of its labels.
func families(t *testing.T) map[string]map[string][]string {
	t.Helper()
	gathered, err := everything(t).registry.Gather()
	require.NoError(t, err)
	all := map[string]map[string][]string{}
	for _, family := range gathered {
		labels := map[string][]string{}
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		all[family.GetName()] = labels
	}
	return all
}

// sdkNames are the constants of Temporal's SDK, which it does not export.
func sdkNames(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.temporal.io/sdk").Output()
	require.NoError(t, err)
	constants, err := os.ReadFile(strings.TrimSpace(string(dir)) + "/internal/common/metrics/constants.go")
	require.NoError(t, err)
	return string(constants)
}

func TestEveryMetricThatIsAskedForExists(t *testing.T) {
	known, sdk := families(t), sdkNames(t)
	asked := map[string]bool{}
	for who, expr := range expressions(t) {
		names := metricName.FindAllString(expr, -1)
		if !strings.HasPrefix(expr, "up{") {
			require.NotEmpty(t, names, who)
		}
		for _, name := range names {
			asked[base(name)] = true
			if of, found := strings.CutPrefix(base(name), "temporal_"); found {
				of = strings.TrimSuffix(strings.TrimSuffix(of, "_total"), "_seconds")
				of = strings.TrimPrefix(of, "request") // made of two constants
				require.Contains(t, sdk, of+`"`, "%s asks for %s", who, name)
				continue
			}
			require.Contains(t, known, base(name), who)
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "florin_") {
			require.True(t, asked[name], "nobody looks at %s", name)
		}
	}
}

// What a label can be where everything has happened only once.
var values = map[string][]string{
	"class": {"rate_limited", "authentication", "permission", "config"}, "certainty": {"ambiguous"},
	"status": {"processing", "failed", "conflicted"},
}

func TestEveryLabelThatIsAskedForExists(t *testing.T) {
	known, checked := families(t), 0
	for who, expr := range expressions(t) {
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			labels, ours := known[base(s[1])]
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				name, wanted := m[1], m[3]
				if !ours || name == "job" {
					continue
				}
				require.Contains(t, labels, name, "%s: %s", who, s[0])
				if strings.HasPrefix(wanted, "$") || wanted == "" {
					continue
				}
				for one := range strings.SplitSeq(wanted, "|") {
					require.True(t, slices.Contains(labels[name], one) || slices.Contains(values[name], one), "%s: %s is never %s", who, name, one)
				}
				checked++
			}
		}
	}
	require.Greater(t, checked, 10)
}

func TestEveryAlertIsInTheRunbook(t *testing.T) {
	content, err := os.ReadFile(root + "docs/runbook.md")
	require.NoError(t, err)
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(content), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		sections[heading] = text
	}
	for _, r := range rules(t) {
		require.Equal(t, "https://github.com/florinpay/florin/blob/main/docs/runbook.md#"+strings.ToLower(r.Alert), r.Annotations["runbook_url"])
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		for _, part := range []string{"**Means:**", "**Look at:**", "**Do:**"} {
			require.Contains(t, sections[r.Alert], part, r.Alert)
		}
		delete(sections, r.Alert)
	}
	for heading := range sections {
		require.False(t, strings.HasPrefix(heading, "Florin"), "there is no alert %s", heading)
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(content), -1) {
		heading := strings.ReplaceAll(link[1], "-", " ")
		require.Contains(t, strings.ToLower(string(content)), "\n### "+heading+"\n")
	}
	for _, file := range regexp.MustCompile(`\]\(\.\./([a-z/.]+)\)`).FindAllStringSubmatch(string(content), -1) {
		require.FileExists(t, root+file[1])
	}
}

// promtool is that of FLORIN_PROMTOOL, or the one on the path. The Debian package prometheus has it.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path := os.Getenv("FLORIN_PROMTOOL")
	if path == "" {
		path, _ = exec.LookPath("promtool")
	}
	if path == "" {
		const missing = "no promtool on this machine: the Debian package prometheus has it; FLORIN_PROMTOOL may say where it is"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Stdin = root+"deploy/prometheus", strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestPrometheusTakesTheConfiguration(t *testing.T) {
	promtool(t, "", "check", "config", "prometheus.yml")
	promtool(t, "", "check", "rules", "florin.rules.yml")
}

func TestTheAlertsFireWhereTheyShould(t *testing.T) {
	promtool(t, "", "test", "rules", "florin.test.yml")
}

func TestPrometheusLikesOurNames(t *testing.T) {
	var ours bytes.Buffer
	for line := range strings.Lines(scrape(t, everything(t))) {
		if strings.Contains(line, "florin_") {
			ours.WriteString(line)
		}
	}
	promtool(t, ours.String(), "check", "metrics")
}
