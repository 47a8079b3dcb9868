package telemetry

// Checks that the alert rules, the dashboard and the runbook in deploy/ and docs/ match the metrics, and each other.

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

	"github.com/florinpay/florin/payment"
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

// expressions returns every PromQL expression by the alert, panel or variable that uses it.
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
		if v.Definition != "" { // empty for the data source only
			all["variable "+v.Name] = v.Definition
		}
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:florin|temporal|process|go)_[a-z_]+\b`)
	// selector matches a metric with label matchers.
	selector = regexp.MustCompile(`\b((?:florin|temporal|process|go)_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|=|!=)"([^"]*)"`)
)

// base returns the name of the metric family that a series belongs to: it removes the suffixes of histograms.
func base(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if cut, found := strings.CutSuffix(name, suffix); found && strings.HasSuffix(cut, "_seconds") {
			return cut
		}
	}
	return name
}

// families returns the values of the labels of each metric that Florin exports, by metric name and label name.
func families(t *testing.T) map[string]map[string][]string {
	t.Helper()
	gathered, err := allMetrics(t).registry.Gather()
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

// sdkNames returns the source file with the metric names of Temporal's SDK: the SDK does not export the constants.
func sdkNames(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.temporal.io/sdk").Output()
	require.NoError(t, err)
	constants, err := os.ReadFile(strings.TrimSpace(string(dir)) + "/internal/common/metrics/constants.go")
	require.NoError(t, err)
	return string(constants)
}

func TestEveryQueriedMetricExistsAndEveryMetricIsQueried(t *testing.T) {
	known, sdk := families(t), sdkNames(t)
	queried := map[string]bool{}
	for user, expr := range expressions(t) {
		names := metricName.FindAllString(expr, -1)
		if !strings.HasPrefix(expr, "up{") {
			require.NotEmpty(t, names, user)
		}
		for _, name := range names {
			queried[base(name)] = true
			if of, found := strings.CutPrefix(base(name), "temporal_"); found {
				of = strings.TrimSuffix(strings.TrimSuffix(of, "_total"), "_seconds")
				of = strings.TrimPrefix(of, "request") // the SDK composes these names of two constants
				require.Contains(t, sdk, of+`"`, "%s queries %s", user, name)
				continue
			}
			require.Contains(t, known, base(name), user)
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "florin_") {
			require.True(t, queried[name], "no alert, panel or variable queries %s", name)
		}
	}
}

// otherValues are values of labels that occur in production but not in allMetrics.
var otherValues = map[string][]string{
	"class": {"rate_limited", "authentication", "permission", "config"}, "certainty": {"ambiguous"},
	"status": {"processing", "failed", "conflicted"}, "operation": {"batch_charge"},
}

func TestEveryQueriedLabelValueExists(t *testing.T) {
	known, checked := families(t), 0
	for user, expr := range expressions(t) {
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			labels, exported := known[base(s[1])]
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				name, wanted := m[1], m[3]
				if !exported || name == "job" {
					continue
				}
				require.Contains(t, labels, name, "%s: %s", user, s[0])
				if strings.HasPrefix(wanted, "$") || wanted == "" {
					continue
				}
				for one := range strings.SplitSeq(wanted, "|") {
					require.True(t, slices.Contains(labels[name], one) || slices.Contains(otherValues[name], one), "%s: %s is never %s", user, name, one)
				}
				checked++
			}
		}
	}
	require.Greater(t, checked, 10)
}

func TestEveryAlertHasARunbookSection(t *testing.T) {
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
		require.False(t, strings.HasPrefix(heading, "Florin"), "the runbook has a section for the missing alert %s", heading)
	}
	for _, link := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(content), -1) {
		heading := strings.ReplaceAll(link[1], "-", " ")
		require.Regexp(t, `(?mi)^##+ `+regexp.QuoteMeta(heading)+`$`, string(content))
	}
	for _, file := range regexp.MustCompile(`\]\(\.\./([a-z/.]+)\)`).FindAllStringSubmatch(string(content), -1) {
		require.FileExists(t, root+file[1])
	}
}

// A payment must not wait in any status without an alert.
func TestEveryNonFinalStatusHasAnAlert(t *testing.T) {
	watched := map[string]string{}
	for _, r := range rules(t) {
		for _, s := range selector.FindAllStringSubmatch(r.Expr, -1) {
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				watched[strings.TrimSuffix(s[1], "_oldest_seconds")] += m[3] + "|"
			}
		}
	}
	for metric, transitions := range map[string]map[payment.Status][]payment.Status{
		"florin_payments_waiting": payment.PaymentTransitions, "florin_refunds_waiting": payment.RefundTransitions,
	} {
		for status := range transitions {
			if !status.Final() {
				require.Contains(t, strings.Split(watched[metric], "|"), string(status), metric)
			}
		}
	}
}

// promtool runs the promtool at FLORIN_PROMTOOL, or the one in PATH. Without one it skips the test; in CI it fails instead.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path := os.Getenv("FLORIN_PROMTOOL")
	if path == "" {
		path, _ = exec.LookPath("promtool")
	}
	if path == "" {
		const missing = "promtool not found: install the Debian package prometheus, or set FLORIN_PROMTOOL to its path"
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

func TestPrometheusAcceptsTheConfiguration(t *testing.T) {
	promtool(t, "", "check", "config", "prometheus.yml")
	promtool(t, "", "check", "rules", "florin.rules.yml")
}

func TestAlertsFireAsSpecified(t *testing.T) {
	promtool(t, "", "test", "rules", "florin.test.yml")
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	var exported bytes.Buffer
	for line := range strings.Lines(scrape(t, allMetrics(t))) {
		if strings.Contains(line, "florin_") {
			exported.WriteString(line)
		}
	}
	promtool(t, exported.String(), "check", "metrics")
}
