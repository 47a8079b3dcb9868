package compose

import (
	"context"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/florinpay/florin/internal/app"
	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/store"
)

// secretVolumes are the volumes with secrets, and the services that may read them.
var secretVolumes = map[string][]string{
	"secrets-server":  {"database-setup", "postgresql", "temporal", "temporal-setup"},
	"secrets-migrate": {"database-setup", "migrate"},
	"secrets-worker":  {"database-setup", "worker"},
}

func TestEachServiceMountsOnlyTheSecretsThatItNeeds(t *testing.T) {
	project := load(t)
	readers := map[string][]string{}
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeVolume || !strings.HasPrefix(v.Source, "secrets-") {
				continue
			}
			if name == "secrets" {
				require.False(t, v.ReadOnly)
				require.Equal(t, "/secrets/"+strings.TrimPrefix(v.Source, "secrets-"), v.Target)
				continue
			}
			require.True(t, v.ReadOnly, "%s must not change %s", name, v.Source)
			readers[v.Source] = append(readers[v.Source], name)
		}
	}
	for volume, names := range readers {
		slices.Sort(names)
		require.Contains(t, project.Volumes, volume)
	}
	require.Equal(t, secretVolumes, readers)
	require.Equal(t, "none", service(t, project, "secrets").NetworkMode)
}

func TestNoPasswordIsInTheFile(t *testing.T) {
	for name, s := range load(t).Services {
		for variable := range environment(s) {
			if strings.Contains(variable, "PASS") || strings.Contains(variable, "PWD") {
				require.Equal(t, "POSTGRES_PASSWORD_FILE", variable, name)
			}
		}
	}
}

// script runs a script of a service on this machine.
func script(t *testing.T, name string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", root+"deploy/compose/"+name)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// secrets runs the script of the service secrets, and returns the folder and the content of the files in it.
func secrets(t *testing.T, dir string) map[string]string {
	t.Helper()
	script(t, "secrets.sh", "SECRETS="+dir)
	contents := map[string]string{}
	for _, file := range []string{"server/password", "migrate/password", "migrate/database-url", "worker/password", "worker/database-url"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o444), info.Mode(), "the containers have different users")
		contents[file] = strings.TrimSpace(string(content))
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.Len(t, entries, len(contents), "nothing else is there")
	return contents
}

func secretsDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for volume := range secretVolumes {
		require.NoError(t, os.Mkdir(filepath.Join(dir, strings.TrimPrefix(volume, "secrets-")), 0o755))
	}
	return dir
}

func TestPasswordsAreRandomAndKept(t *testing.T) {
	dir := secretsDir(t)
	first := secrets(t, dir)
	require.Equal(t, first, secrets(t, dir), "a second start changes nothing")
	other := secrets(t, secretsDir(t))
	passwords := map[string]bool{}
	for _, from := range []map[string]string{first, other} {
		for _, file := range []string{"server/password", "migrate/password", "worker/password"} {
			require.Regexp(t, "^[0-9a-f]{48}$", from[file])
			passwords[from[file]] = true
		}
	}
	require.Len(t, passwords, 6, "all are different")

	// The rotation that secrets.sh describes.
	require.NoError(t, os.Remove(filepath.Join(dir, "worker", "password")))
	rotated := secrets(t, dir)
	require.NotEqual(t, first["worker/password"], rotated["worker/password"])
	require.Contains(t, rotated["worker/database-url"], ":"+rotated["worker/password"]+"@")
	for _, folder := range []string{"worker/password", "worker/database-url"} {
		delete(first, folder)
		delete(rotated, folder)
	}
	require.Equal(t, first, rotated)
}

func TestDatabaseIsMigratedAndUsedByItsOwnRoles(t *testing.T) {
	cluster := postgrestest.ForTest(t)
	project := load(t)
	require.Equal(t, "florin_worker", flagOf(t, service(t, project, "migrate").Command, "--grant-to"))
	require.Equal(t, "postgresql", environment(service(t, project, "database-setup"))["PGHOST"])
	require.Equal(t, environment(service(t, project, "postgresql"))["POSTGRES_USER"], environment(service(t, project, "database-setup"))["PGUSER"])
	require.Equal(t, "/secrets/database-url", workerConfig(t, project).Store.Postgres.File)
	for _, name := range []string{"migrate", "worker"} {
		require.True(t, slices.ContainsFunc(service(t, project, name).Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Source == "secrets-"+name && v.Target == "/secrets"
		}), name)
	}

	dir := secretsDir(t)
	contents := secrets(t, dir)
	clusterDir := filepath.Dir(cluster.Socket())
	for range 2 {
		script(t, "database-setup.sh", "SECRETS="+dir, "PGHOST="+clusterDir, "PGUSER=florin")
	}
	requirePasswords(t, cluster)

	// The URLs, with the socket of this server in place of the address of the service.
	stores := map[string]config.Store{}
	for _, name := range []string{"migrate", "worker"} {
		u, err := url.Parse(contents[name+"/database-url"])
		require.NoError(t, err)
		require.Equal(t, "postgresql:5432", u.Host)
		require.Equal(t, "sslmode=disable", u.RawQuery)
		require.True(t, workerConfig(t, project).Store.Insecure)
		u.Host, u.RawQuery = "", url.Values{"host": {clusterDir}}.Encode()
		file := filepath.Join(t.TempDir(), "url")
		require.NoError(t, os.WriteFile(file, []byte(u.String()), 0o600))
		stores[name] = config.Store{Postgres: config.Secret{File: file}}
	}
	_, _, err := app.MigrateStore(t.Context(), stores["migrate"], "florin_worker")
	require.NoError(t, err)
	opened, err := app.OpenStore(t.Context(), stores["worker"], zap.NewNop())
	require.NoError(t, err)
	require.NoError(t, opened.Close())
	_, err = app.OpenStore(t.Context(), stores["migrate"], zap.NewNop())
	require.ErrorIs(t, err, store.ErrPrivileged)

	// The worker's password is rotated as secrets.sh describes.
	require.NoError(t, os.Remove(filepath.Join(dir, "worker", "password")))
	require.False(t, maps.Equal(contents, secrets(t, dir)))
	script(t, "database-setup.sh", "SECRETS="+dir, "PGHOST="+clusterDir, "PGUSER=florin")
	_, err = app.OpenStore(t.Context(), stores["worker"], zap.NewNop())
	require.ErrorContains(t, err, "password authentication failed")
}

// requirePasswords restarts the server, which then requires the passwords of all roles but the superuser.
func requirePasswords(t *testing.T, cluster *postgrestest.Cluster) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	hba, err := cluster.WriteFile(ctx, "hba", []byte("local all florin trust\nlocal all all scram-sha-256\n"))
	require.NoError(t, err)
	require.NoError(t, cluster.Stop())
	require.NoError(t, cluster.StartAgain(ctx, "hba_file="+hba))
}
