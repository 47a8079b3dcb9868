package browser

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/temporalweb"
	"github.com/florinpay/florin/sandbox/markup"
)

// pictures is set by make picture to the directory of the docs. Without it, the test takes the screenshots as well, and
// saves them as artifacts of the test.
var pictures = flag.String("pictures", "", "save the screenshots in this directory")

// timeout bounds each step in the browser and each wait for a payment. It is generous for a busy machine.
const timeout = 40 * time.Second

// window is the size of the viewport, in CSS pixels.
type window struct{ width, height int64 }

// Temporal Web's layout depends on the width. wide shows the header and the timeline of a workflow in columns, narrow the
// tab User Metadata.
var (
	wide   = window{1280, 1100}
	narrow = window{1024, 1400}
)

// chromium returns the path of the browser. If none is installed, the test fails in CI and is skipped elsewhere.
func chromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := fmt.Sprintf("no browser: none of %s is installed", strings.Join(names, ", "))
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// tab is a browser tab. A step that fails logs the content of the page.
type tab struct{ ctx context.Context }

// openTab starts the browser at path, which ends with the test.
func openTab(t *testing.T, path string) tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true), chromedp.Env("TZ=UTC"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not work for root
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "%s does not start", path)
	return tab{ctx}
}

// goTo sets the viewport and loads a page.
func (b tab) goTo(t *testing.T, url string, w window) {
	t.Helper()
	b.resize(t, w)
	b.do(t, "open "+url, chromedp.Navigate(url))
}

// resize sets the viewport. Call it before a page is loaded: a page that is open adapts only after a while.
func (b tab) resize(t *testing.T, w window) {
	t.Helper()
	b.do(t, "resize", chromedp.EmulateViewport(w.width, w.height, chromedp.EmulateScale(1.5)))
}

// setPreferences stores user preferences of Temporal Web, which apply to pages that are loaded afterwards.
func (b tab) setPreferences(t *testing.T, preferences map[string]any) {
	t.Helper()
	for name, value := range preferences {
		stored, err := json.Marshal(value)
		require.NoError(t, err)
		arguments, err := json.Marshal([]string{name, string(stored)})
		require.NoError(t, err)
		b.do(t, "set preference "+name, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("localStorage.setItem(...%s)", arguments)))
	}
}

// click waits for the element and clicks it.
func (b tab) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, "click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// press waits for the button with that text and clicks it.
func (b tab) press(t *testing.T, text string) {
	t.Helper()
	b.do(t, "press "+text, chromedp.Click(fmt.Sprintf("//button[normalize-space()=%q]", text)))
}

// enter types the text and the Return key.
func (b tab) enter(t *testing.T, selector, text string) {
	t.Helper()
	b.do(t, "enter "+text, chromedp.SendKeys(chromedp.CSS(selector), text+"\r"))
}

// textOf is a JavaScript function that returns the visible text of all elements that match a selector, with white space
// collapsed. It includes frames: Temporal Web renders Markdown in frames.
const textOf = `selector => {
	const inFrame = frame => frame.offsetHeight > 0 ? frame.contentDocument?.body?.innerText ?? '' : ''
	const read = element => element.tagName === 'IFRAME' ? [inFrame(element)]
		: [element.innerText, ...[...element.querySelectorAll('iframe')].map(inFrame)]
	return [...document.querySelectorAll(selector)].flatMap(read).join('\n').replace(/\s+/g, ' ')
}`

// Selectors of the whole page and of its parts.
const (
	wholePage      = "body"
	rows           = `[data-testid="workflows-summary-configurable-table-row"]`
	inputAndResult = `[data-testid="input-and-result"]`
	summary        = "#user-metadata-summary"
	details        = "#user-metadata-details"
	currentDetails = "#user-metadata-current-details"
	// panels contains the three above.
	panels = `:has(> [data-testid="user-metadata"])`
)

// sees waits until the elements at selector contain all texts, or fails the test. Temporal Web sometimes renders a frame
// with height zero, so sees reloads the page once.
func (b tab) sees(t *testing.T, selector string, texts ...string) {
	t.Helper()
	err := b.waitForText(timeout/4, selector, texts...)
	if err != nil {
		b.do(t, "reload the page", chromedp.Reload())
		err = b.waitForText(timeout, selector, texts...)
	}
	if err == nil {
		return
	}
	b.logPage(t)
	found := b.text(t, selector)
	missing := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.Contains(found, text) })
	require.NoError(t, err, "%q has no %q: %s", selector, missing, found)
}

func (b tab) waitForText(timeout time.Duration, selector string, texts ...string) error {
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	args := []any{selector}
	for _, text := range texts {
		args = append(args, text)
	}
	_, err := chromedp.Run(ctx, chromedp.PollFunction[bool](
		`(selector, ...texts) => { const found = (`+textOf+`)(selector); return texts.every(text => found.includes(text)) }`,
		pollInterval, chromedp.WithPollingTimeout(0), chromedp.WithPollingArgs(args...)))
	return err
}

// text returns the text at selector without waiting.
func (b tab) text(t *testing.T, selector string) string {
	t.Helper()
	var found string
	b.do(t, "read "+selector, chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		found, err = chromedp.Evaluate[string](fmt.Sprintf("(%s)(%q)", textOf, selector))(ctx, target)
		return err
	}))
	return found
}

// rendered is a JavaScript expression: the elements of all rendered Markdown with what they show or load, and the links of the whole page to
// other hosts.
const rendered = `[...document.querySelectorAll('iframe')].flatMap(f => [...f.contentDocument.querySelectorAll('main *')])
	.map(e => [e.localName, e.localName === 'a' ? e.href : e.src ?? e.innerText]).concat(
		[...document.querySelectorAll('[href], [src]')].map(e => new URL(e.href?.baseVal ?? e.href ?? e.src, location))
			.filter(url => url.hostname.includes('evil')).map(url => ['foreign', url.href]))`

// requireNoForeignMarkup requires that what is rendered has no links, images, scripts and commands that are not Florin's.
func (b tab) requireNoForeignMarkup(t *testing.T) {
	t.Helper()
	b.wait(t, isStable)
	var elements [][2]string
	b.do(t, "read the markup", chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		elements, err = chromedp.Evaluate[[][2]string](rendered)(ctx, target)
		return err
	}))
	require.NotEmpty(t, elements)
	for _, element := range elements {
		switch name, content := element[0], element[1]; name {
		case "a":
			require.True(t, strings.HasPrefix(content, temporalweb.Runbook), content)
		case "code":
			require.True(t, markup.IsCode(content), content)
		default:
			require.Contains(t, []string{"p", "ul", "li", "strong", "em"}, name, content)
		}
	}
}

// isStable is a JavaScript expression that is true once every visible frame has its text, the fonts are loaded and no
// animation that ends is running.
const isStable = `[...document.querySelectorAll('iframe')].filter(f => f.checkVisibility()).every(f => f.contentDocument?.body?.innerText.trim()) &&
	document.fonts.status === 'loaded' &&
	document.getAnimations().every(a => a.playState !== 'running' || a.effect.getComputedTiming().endTime === Infinity)`

// picture saves a screenshot for the docs: of the viewport if selector is wholePage, otherwise of that element.
func (b tab) picture(t *testing.T, name, selector string) {
	t.Helper()
	dir := *pictures
	if dir == "" {
		dir = t.ArtifactDir()
	}
	b.do(t, "remove hover and focus", chromedp.MouseEvent(chromedp.MouseMoved, 0, 0), chromedp.Evaluate[chromedp.Void](`document.activeElement?.blur()`))
	b.wait(t, isStable)
	screenshot := chromedp.CaptureScreenshot()
	if selector != wholePage {
		screenshot = chromedp.ScreenshotScale(chromedp.CSS(selector), 1)
	}
	b.do(t, "picture "+name, save(filepath.Join(dir, name), screenshot))
}

func save(path string, screenshot chromedp.Action[[]byte]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		png, err := screenshot(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(path, png, 0o644)
	})
}

// wait waits until a JavaScript expression is true.
func (b tab) wait(t *testing.T, condition string) {
	t.Helper()
	b.do(t, condition, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](condition, pollInterval, chromedp.WithPollingTimeout(0))(ctx, target)
		return err
	}))
}

var pollInterval = chromedp.WithPollingInterval(50 * time.Millisecond)

// do runs the actions of one step. If one fails, it ends the test with the name of the step.
func (b tab) do(t *testing.T, step string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	if err != nil {
		b.logPage(t)
	}
	require.NoError(t, err, step)
}

// logPage logs the text of the page and the path of a screenshot, which is kept after the test.
func (b tab) logPage(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("location + ' ' + (%s)('body')", textOf)))
	t.Logf("text of the page: %s (error: %v)", text, err)
	dir, err := os.MkdirTemp("", "florin-browser-")
	require.NoError(t, err)
	path := filepath.Join(dir, "page.png")
	err = chromedp.Do(ctx, save(path, chromedp.CaptureScreenshot()))
	t.Logf("screenshot of the page: %s (error: %v)", path, err)
}
