package processortest_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/adapters.md quotes code that is compiled and tested here.
func TestTheDocumentationQuotesWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("../../docs/adapters.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, name := range []string{"acme_test.go", "acme_conformance_test.go"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(content)
	}
	quotes := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(page, -1)
	require.NotEmpty(t, quotes)
	for _, quote := range quotes {
		require.Contains(t, code.String(), string(quote[1]))
	}
	for _, link := range regexp.MustCompile(`\]\((\.\./[^)#]+)\)`).FindAllSubmatch(page, -1) {
		_, err := os.Stat("../../docs/" + string(link[1]))
		require.NoError(t, err)
	}
}
