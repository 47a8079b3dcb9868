package florin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// docs/idempotency.md quotes code that is compiled and run as an example.
func TestIdempotencyPageQuotesTestedCode(t *testing.T) {
	page, code := read(t, "docs/idempotency.md"), read(t, "attempts_test.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.Contains(t, code, block[1])
	}
	digest := regexp.MustCompile(`\b[0-9a-f]{64}\b`).FindString(page)
	require.NotEmpty(t, digest)
	require.Contains(t, code, digest)
}

func TestLinksInDocumentationExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	external := regexp.MustCompile(`^[a-z]+:`)
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md", "workflows/testdata/*/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		pages = append(pages, found...)
	}
	require.Contains(t, pages, "README.md")
	for _, page := range pages {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			target := match[1]
			if external.MatchString(target) {
				continue
			}
			path, fragment, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s links to %s, which does not exist", page, target)
					continue
				}
			}
			if fragment == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(read(t, file), -1) {
				anchors = append(anchors, anchor(h[1]))
			}
			if !slices.Contains(anchors, fragment) {
				t.Errorf("%s links to %s, which has no such heading", page, target)
			}
		}
	}
}

// anchor returns the fragment that GitHub gives a heading.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}
