package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExportedHistoriesReplay(t *testing.T) {
	startWorker(t, shared)
	for _, key := range []string{"history-1", "history-2"} {
		a := starter(t, shared, chargeFlags(key, "tok_visa", "--capture", "manual", "--customer", "customer-9", "--metadata", "secret=pizza")...)
		require.Zero(t, a.code, "%+v", a)
	}
	require.Equal(t, 6, starter(t, shared, "refund", "--merchant", "acme", "--key", "history-none", "--charge-key", "history-none").code)

	dir := t.TempDir()
	a := starter(t, shared, "history", "export", "--merchant", "acme", "--key", "history-1", "--dir", dir)
	require.Zero(t, a.code, "%+v", a)
	require.Contains(t, a.stdout, filepath.Join(dir, "charge_acme_history-1_"))
	a = starter(t, shared, "history", "export", "--refund", "--merchant", "acme", "--key", "history-none", "--dir", dir)
	require.Zero(t, a.code, "%+v", a)
	a = starter(t, shared, "history", "export", "--merchant", "acme", "--key", "never", "--dir", dir)
	require.Equal(t, 6, a.code, "%+v", a)
	a = starter(t, shared, "history", "replay", dir)
	require.Equal(t, result{stdout: "histories: replayed=2 differ=0\n"}, a)

	// The payments in flight, without personal data.
	query := `ExecutionStatus="Running" AND MerchantId="acme" AND Amount=1250`
	require.Eventually(t, func() bool { // visibility is eventually consistent
		a = starter(t, shared, "history", "replay", "--query", query)
		require.Zero(t, a.code, "%+v", a)
		return !strings.HasPrefix(a.stdout, "histories: replayed=0") && !strings.HasPrefix(a.stdout, "histories: replayed=1 ")
	}, timeout, 100*time.Millisecond)
	scrubbed := t.TempDir()
	a = starter(t, shared, "history", "export", "--query", query, "--scrub", "--dir", scrubbed, "--limit", "2")
	require.Zero(t, a.code, "%+v", a)
	files, err := os.ReadDir(scrubbed)
	require.NoError(t, err)
	require.Len(t, files, 2)
	a = starter(t, shared, "history", "replay", scrubbed)
	require.Equal(t, result{stdout: "histories: replayed=2 differ=0\n"}, a)
	a = starter(t, shared, "history", "export", "--query", "nonsense", "--dir", dir)
	require.Equal(t, 1, a.code, "%+v", a)
	a = starter(t, shared, "history", "export", "--query", `MerchantId="nobody"`, "--dir", dir)
	require.Equal(t, 6, a.code, "%+v", a)
}
