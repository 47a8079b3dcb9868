package workercli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/processor/audit"
)

// auditLog writes an audit log of three calls, and returns its path and its lines.
func auditLog(t *testing.T) (path string, lines []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.Open(audit.Options{Path: path})
	require.NoError(t, err)
	for range 3 {
		log.Write(audit.Record{Processor: "acme", Operation: "charge"})
	}
	require.NoError(t, log.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return path, strings.SplitAfter(string(text), "\n")
}

func TestAuditVerifyAcceptsWhatTheWorkerWrote(t *testing.T) {
	path, _ := auditLog(t)
	code, stdout, stderr := run(t, "audit", "verify", path)
	require.Equal(t, 0, code, stderr)
	require.Regexp(t, `^chain [0-9a-f]{16}: records 1 to 5, .* to .*Z, ended, last 5:[0-9a-f]{64}\n$`, stdout)

	last := regexp.MustCompile(`last (\S+)`).FindStringSubmatch(stdout)[1]
	code, _, stderr = run(t, "audit", "verify", "--expect-last", last, path)
	require.Equal(t, 0, code, stderr)
}

func TestAuditVerifyReportsFaults(t *testing.T) {
	path, lines := auditLog(t)
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(append(lines[:2:2], lines[3:]...), "")), 0o600))
	code, stdout, stderr := run(t, "audit", "verify", path)
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^fault: .*audit.log:3: records 3 to 3 of chain [0-9a-f]{16} are missing$`, stdout)
	require.Equal(t, "worker: the audit log is incomplete or was changed: see docs/runbook.md#a-tampered-or-incomplete-audit-log\n", stderr)
}

func TestAuditVerifyFindsACutTailByALoggedPosition(t *testing.T) {
	path, lines := auditLog(t)
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines[:3], "")), 0o600))
	code, stdout, _ := run(t, "audit", "verify", path)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "has no end record after record 3")
	code, _, _ = run(t, "audit", "verify", "--part", path)
	require.Equal(t, 0, code)
	code, stdout, _ = run(t, "audit", "verify", "--part", "--expect-last", "4:"+strings.Repeat("ab", 32), path)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "fault: record 4 with the hash abab")
}

func TestAuditVerifyRefusesInvalidArguments(t *testing.T) {
	path, _ := auditLog(t)
	for want, args := range map[string][]string{
		`--expect-last "4": want SEQ:HASH`:    {"--expect-last", "4", path},
		`--expect-last "4:ab": want SEQ:HASH`: {"--expect-last", "4:ab", path},
		"no such file":                        {filepath.Join(t.TempDir(), "none.log")},
		"requires at least 1 arg":             {},
	} {
		code, _, stderr := run(t, append([]string{"audit", "verify"}, args...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, want)
	}
}
