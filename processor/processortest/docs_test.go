package processortest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/processor/processortest"
)

// The code on docs/adapters.md is that of examples/ownprocessor, which is compiled and tested.
func TestDocumentationQuotesTheExampleVerbatim(t *testing.T) {
	page, err := os.ReadFile("../../docs/adapters.md")
	require.NoError(t, err)
	example := map[string]string{".go": contents(t, ".go"), ".yaml": contents(t, ".yaml")}
	quotes := regexp.MustCompile("(?ms)^```(go|yaml)\n(.*?)^```$").FindAllSubmatch(page, -1)
	require.NotEmpty(t, quotes)
	for _, quote := range quotes {
		require.Contains(t, example["."+string(quote[1])], string(quote[2]))
	}
}

func TestDocumentationLinksToFilesThatExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/adapters.md")
	require.NoError(t, err)
	links := regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllSubmatch(page, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		_, err := os.Stat(filepath.Join("../../docs", string(link[1])))
		require.NoError(t, err)
	}
}

func TestEveryRuleNamesASectionThatExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/adapters.md")
	require.NoError(t, err)
	sections := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllSubmatch(page, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(string(heading[1])), "")
		sections["docs/adapters.md#"+strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for rule, document := range processortest.Documents() {
		require.True(t, sections[document], "%s: the document has no section %q", rule, document)
	}
}

// contents returns all files of the example whose names end with ext.
func contents(t *testing.T, ext string) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir("../../examples/ownprocessor", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ext {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	}))
	return all.String()
}
