package florin_test

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service that imports package florin gets the Temporal client and nothing of the worker: no database driver, no migrations, no HTTP
// client of ours.
func TestPackageFlorinDependsOnTheTemporalClientOnly(t *testing.T) {
	list := func(packages ...string) []string {
		out, err := exec.Command("go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)...).Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	temporal := map[string]bool{}
	for _, path := range list("go.temporal.io/sdk/client", "go.temporal.io/sdk/interceptor") {
		temporal[path] = true
	}
	for _, path := range list(".") {
		switch {
		case temporal[path],
			path == "github.com/florinpay/florin",
			path == "github.com/florinpay/florin/payment",
			path == "github.com/florinpay/florin/internal/printable",
			path == "github.com/florinpay/florin/internal/priority",
			path == "github.com/florinpay/florin/internal/temporalweb",
			path == "github.com/florinpay/florin/internal/tracing",
			// Signing requests. Neither module has dependencies.
			path == "github.com/florinpay/florin/internal/caller",
			strings.HasPrefix(path, "github.com/go-jose/go-jose/v4"), strings.HasPrefix(path, "github.com/go-json-experiment/json"),
			// The OpenTelemetry API, not its SDK.
			strings.HasPrefix(path, "go.opentelemetry.io/otel") && !strings.HasPrefix(path, "go.opentelemetry.io/otel/sdk") && !strings.HasPrefix(path, "go.opentelemetry.io/otel/exporters"),
			strings.HasPrefix(path, "github.com/go-logr/"), strings.HasPrefix(path, "github.com/cespare/xxhash/"),
			path == "go.opentelemetry.io/auto/sdk", strings.HasPrefix(path, "go.opentelemetry.io/auto/sdk/"):
		default:
			t.Errorf("package florin depends on %s", path)
		}
	}
}

// docs/dependencies.md gives the reason for each direct dependency of the main module, and for no other.
func TestEveryDirectDependencyIsDocumented(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	require.NoError(t, err)
	var module struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, json.Unmarshal(out, &module))
	var direct, documented []string
	for _, required := range module.Require {
		if !required.Indirect {
			direct = append(direct, required.Path)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		documented = append(documented, row[1])
	}
	require.ElementsMatch(t, direct, documented)
}
