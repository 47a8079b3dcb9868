package compose

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/florinpay/florin/internal/app"
)

func TestNamespaceScriptRegistersTheSearchAttributesOfTheWorker(t *testing.T) {
	script, err := os.ReadFile(mounted(t, service(t, load(t), "temporal-namespace"), "/temporal-namespace.sh"))
	require.NoError(t, err)

	registered := map[string]enumspb.IndexedValueType{}
	for _, m := range regexp.MustCompile(`--name (\w+) --type (\w+)`).FindAllSubmatch(script, -1) {
		kind, err := enumspb.IndexedValueTypeFromString(string(m[2]))
		require.NoError(t, err, "the CLI has no such type")
		require.NotContains(t, registered, string(m[1]))
		registered[string(m[1])] = kind
	}
	require.Equal(t, app.SearchAttributes, registered)

	// The script's last query must have all of them: if one is not usable yet, the first payments after a start fail.
	queried := map[string]enumspb.IndexedValueType{}
	for _, m := range regexp.MustCompile(`(\w+) = ('')?`).FindAllSubmatch(script, -1) {
		queried[string(m[1])] = enumspb.INDEXED_VALUE_TYPE_INT
		if len(m[2]) > 0 {
			queried[string(m[1])] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
	}
	require.Equal(t, app.SearchAttributes, queried)
}

func TestNamespaceScriptUsesTheNamespaceOfTheWorker(t *testing.T) {
	script, err := os.ReadFile(root + "deploy/compose/temporal-namespace.sh")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)temporal operator namespace (describe|create)(.*)$`).FindAllSubmatch(script, -1) {
		require.Contains(t, string(m[2]), `-n "$TEMPORAL_NAMESPACE"`, "without -n, %s uses the namespace default", m[0])
	}
}
