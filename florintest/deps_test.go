package florintest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A test of a service that imports package florintest gets what package florin needs, and the table of tokens. In particular, it gets no
// database driver: two drivers of one name in a program panic.
func TestPackageFlorintestDependsOnPackageFlorinOnly(t *testing.T) {
	list := func(pkg string) []string {
		out, err := exec.Command("go", "list", "-deps", pkg).Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	allowed := map[string]bool{
		"github.com/florinpay/florin/florintest":                true,
		"github.com/florinpay/florin/internal/simulator/tokens": true,
	}
	for _, path := range list("github.com/florinpay/florin") {
		allowed[path] = true
	}
	for _, path := range list("github.com/florinpay/florin/florintest") {
		require.True(t, allowed[path], "package florintest depends on %s", path)
		require.NotEqual(t, "database/sql", path)
	}
}
