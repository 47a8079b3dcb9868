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
)

// pictures is where the pictures of the docs go: make picture says where. Other runs take them as well, and drop them.
var pictures = flag.String("pictures", "", "keep the pictures in this directory")

// patience is for one page, on a machine that is busy with other things.
const patience = 40 * time.Second

// window is the size of a tab.
type window struct{ width, height int64 }

// Temporal Web sets a page in columns from these widths on: wide for what is on top of it and its timeline, narrow for
// the tab User Metadata.
var (
	wide   = window{1280, 1100}
	narrow = window{1024, 1400}
)

// chromium finds the browser. CI has one, or fails.
func chromium(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := fmt.Sprintf("no browser to test in: none of %s is installed", strings.Join(names, ", "))
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// tab is a tab of a browser. A step that fails shows what the tab showed.
type tab struct{ ctx context.Context }

func open(t *testing.T, path string) tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true), chromedp.Env("TZ=UTC"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "%s does not start", path)
	return tab{ctx}
}

// goTo loads a page in a window of that size.
func (b tab) goTo(t *testing.T, url string, w window) {
	t.Helper()
	b.resize(t, w)
	b.do(t, "open "+url, chromedp.Navigate(url))
}

// resize is for pages that are opened from now on: one that is there takes its time.
func (b tab) resize(t *testing.T, w window) {
	t.Helper()
	b.do(t, "resize", chromedp.EmulateViewport(w.width, w.height, chromedp.EmulateScale(1.5)))
}

// prefer sets what Temporal Web remembers of its user, for the pages that are loaded from now on.
func (b tab) prefer(t *testing.T, preferences map[string]any) {
	t.Helper()
	for name, value := range preferences {
		stored, err := json.Marshal(value)
		require.NoError(t, err)
		arguments, err := json.Marshal([]string{name, string(stored)})
		require.NoError(t, err)
		b.do(t, "prefer "+name, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("localStorage.setItem(...%s)", arguments)))
	}
}

// click waits until the element is there.
func (b tab) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, "click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// press presses the button with that text.
func (b tab) press(t *testing.T, text string) {
	t.Helper()
	b.do(t, "press "+text, chromedp.Click(fmt.Sprintf("//button[normalize-space()=%q]", text)))
}

// enter types the text, and Return.
func (b tab) enter(t *testing.T, selector, text string) {
	t.Helper()
	b.do(t, "enter "+text, chromedp.SendKeys(chromedp.CSS(selector), text+"\r"))
}

// textOf is what a person reads in all that matches a selector, frames and all, every space as one. Temporal Web shows
// Markdown in frames.
const textOf = `selector => {
	const inFrame = frame => frame.offsetHeight > 0 ? frame.contentDocument?.body?.innerText ?? '' : ''
	const read = element => element.tagName === 'IFRAME' ? [inFrame(element)]
		: [element.innerText, ...[...element.querySelectorAll('iframe')].map(inFrame)]
	return [...document.querySelectorAll(selector)].flatMap(read).join('\n').replace(/\s+/g, ' ')
}`

// The whole page, and its parts.
const (
	wholePage      = "body"
	rows           = `[data-testid="workflows-summary-configurable-table-row"]`
	inputAndResult = `[data-testid="input-and-result"]`
	summary        = "#user-metadata-summary"
	details        = "#user-metadata-details"
	currentDetails = "#user-metadata-current-details"
	// all three
	panels = `:has(> [data-testid="user-metadata"])`
)

// sees waits until all the texts can be read there. Temporal Web sometimes leaves a frame without a height: then the page
// is loaded again, as a person would.
func (b tab) sees(t *testing.T, where string, texts ...string) {
	t.Helper()
	err := b.reads(patience/4, where, texts...)
	if err != nil {
		b.do(t, "load the page again", chromedp.Reload())
		err = b.reads(patience, where, texts...)
	}
	if err == nil {
		return
	}
	b.show(t)
	read := b.text(t, where)
	missing := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.Contains(read, text) })
	require.NoError(t, err, "%q misses %q: %s", where, missing, read)
}

func (b tab) reads(patience time.Duration, where string, texts ...string) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	args := []any{where}
	for _, text := range texts {
		args = append(args, text)
	}
	_, err := chromedp.Run(ctx, chromedp.PollFunction[bool](
		`(where, ...texts) => { const read = (`+textOf+`)(where); return texts.every(text => read.includes(text)) }`,
		often, chromedp.WithPollingTimeout(0), chromedp.WithPollingArgs(args...)))
	return err
}

// text is what can be read there now.
func (b tab) text(t *testing.T, where string) string {
	t.Helper()
	var read string
	b.do(t, "read "+where, chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		read, err = chromedp.Evaluate[string](fmt.Sprintf("(%s)(%q)", textOf, where))(ctx, target)
		return err
	}))
	return read
}

// still holds once every frame has its text, and nothing fades in any more.
const still = `[...document.querySelectorAll('iframe')].filter(f => f.checkVisibility()).every(f => f.contentDocument?.body?.innerText.trim()) &&
	document.fonts.status === 'loaded' &&
	document.getAnimations().every(a => a.playState !== 'running' || a.effect.getComputedTiming().endTime === Infinity)`

// picture takes a picture for the docs: of the window, or of a part of the page.
func (b tab) picture(t *testing.T, name, where string) {
	t.Helper()
	dir := *pictures
	if dir == "" {
		dir = t.ArtifactDir()
	}
	b.do(t, "look at nothing", chromedp.MouseEvent(chromedp.MouseMoved, 0, 0), chromedp.Evaluate[chromedp.Void](`document.activeElement?.blur()`))
	b.wait(t, still)
	image := chromedp.CaptureScreenshot()
	if where != wholePage {
		image = chromedp.ScreenshotScale(chromedp.CSS(where), 1)
	}
	b.do(t, "picture "+name, save(filepath.Join(dir, name), image))
}

func save(path string, image chromedp.Action[[]byte]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		png, err := image(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(path, png, 0o644)
	})
}

// wait waits until a JavaScript expression holds.
func (b tab) wait(t *testing.T, condition string) {
	t.Helper()
	b.do(t, condition, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](condition, often, chromedp.WithPollingTimeout(0))(ctx, target)
		return err
	}))
}

var often = chromedp.WithPollingInterval(50 * time.Millisecond)

// do takes the steps, or ends the test.
func (b tab) do(t *testing.T, step string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	if err != nil {
		b.show(t)
	}
	require.NoError(t, err, step)
}

// show logs what the tab shows, and where a picture of it is: one that outlives the test.
func (b tab) show(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("location + ' ' + (%s)('body')", textOf)))
	t.Logf("the page says: %s (%v)", text, err)
	dir, err := os.MkdirTemp("", "florin-browser-")
	require.NoError(t, err)
	path := filepath.Join(dir, "page.png")
	err = chromedp.Do(ctx, save(path, chromedp.CaptureScreenshot()))
	t.Logf("the page looks like %s (%v)", path, err)
}
