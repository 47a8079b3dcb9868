package histories

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSealFindsWhatIsNotAsItWasRecorded(t *testing.T) {
	const (
		sumOfA  = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
		name    = "charge-succeeded" + Suffix
		missing = sumOfA + "  charge-declined" + Suffix + "\n"
	)
	for title, tt := range map[string]struct{ manifest, content, want string }{
		"as it was":     {manifest: sumOfA + "  " + name + "\n", content: "a"},
		"changed":       {manifest: sumOfA + "  " + name + "\n", content: "b", want: name + " was changed"},
		"missing":       {manifest: sumOfA + "  " + name + "\n" + missing, content: "a", want: "charge-declined" + Suffix + " is missing"},
		"not listed":    {content: "a", want: name + " is not in SHA256SUMS"},
		"listed twice":  {manifest: missing + missing, content: "a", want: "another file"},
		"not a listing": {manifest: "nonsense\n", content: "a", want: "not a checksum"},
	} {
		t.Run(title, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, Manifest), []byte(tt.manifest), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(tt.content), 0o600))
			if tt.want == "" {
				require.NoError(t, CheckSealed(dir))
			} else {
				require.ErrorContains(t, CheckSealed(dir), tt.want)
			}
		})
	}
	require.ErrorIs(t, CheckSealed(t.TempDir()), os.ErrNotExist, "a manifest that was removed")
}
