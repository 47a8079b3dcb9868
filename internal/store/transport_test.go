package store

import (
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
	"github.com/florinpay/florin/internal/tlstest"
)

func TestConnectionToAnotherHostNeedsVerifiedTLS(t *testing.T) {
	authority := tlstest.File(t, "ca.pem", tlstest.NewAuthority(t).PEM)
	for _, tt := range []struct {
		name, dsn string
		env       map[string]string
		refused   string // the host; empty: the connection is accepted
	}{
		{name: "no sslmode", dsn: "postgres://u@db.example/florin", refused: "db.example"},
		{name: "disable", dsn: "postgres://u@db.example/florin?sslmode=disable", refused: "db.example"},
		{name: "allow", dsn: "postgres://u@db.example/florin?sslmode=allow", refused: "db.example"},
		{name: "prefer", dsn: "postgres://u@db.example/florin?sslmode=prefer", refused: "db.example"},
		{name: "require", dsn: "postgres://u@db.example/florin?sslmode=require", refused: "db.example"},
		{name: "require, direct", dsn: "postgres://u@db.example/florin?sslmode=require&sslnegotiation=direct", refused: "db.example"},
		{name: "verify-ca", dsn: "postgres://u@db.example/florin?sslmode=verify-ca", refused: "db.example"},
		{name: "a private authority without a mode", dsn: "postgres://u@db.example/florin?sslrootcert=" + authority, refused: "db.example"},
		{name: "verify-full", dsn: "postgres://u@db.example/florin?sslmode=verify-full"},
		{name: "verify-full, private authority", dsn: "postgres://u@db.example/florin?sslmode=verify-full&sslrootcert=" + authority},
		{name: "the system's authorities imply verify-full", dsn: "postgres://u@db.example/florin?sslrootcert=system"},
		{name: "address", dsn: "postgres://u@192.0.2.1/florin", refused: "192.0.2.1"},
		{name: "IPv6 address", dsn: "postgres://u@[2001:db8::1]/florin?sslmode=require", refused: "2001:db8::1"},
		{name: "all interfaces", dsn: "postgres://u@0.0.0.0/florin", refused: "0.0.0.0"},
		{name: "service of compose", dsn: "postgres://u@postgresql/florin", refused: "postgresql"},
		{name: "name that begins like a local one", dsn: "postgres://u@localhost.example/florin", refused: "localhost.example"},
		{name: "name that looks like an address", dsn: "postgres://u@127.0.0.1.example/florin", refused: "127.0.0.1.example"},
		{name: "loopback", dsn: "postgres://u@127.0.0.1/florin"},
		{name: "loopback, another address", dsn: "postgres://u@127.0.94.3/florin?sslmode=disable"},
		{name: "IPv6 loopback", dsn: "postgres://u@[::1]/florin"},
		{name: "localhost", dsn: "postgres://u@localhost/florin"},
		{name: "socket", dsn: "postgres://u@/florin?host=/var/run/postgresql"},
		{name: "host of the query", dsn: "postgres://u@/florin?host=db.example", refused: "db.example"},
		{name: "second host", dsn: "postgres://u@localhost,db.example/florin", refused: "db.example"},
		{name: "second host, verified", dsn: "postgres://u@localhost,db.example/florin?sslmode=verify-full"},
		{name: "mode of the environment", dsn: "postgres://u@db.example/florin", env: map[string]string{"PGSSLMODE": "verify-full"}},
		{
			name: "weak mode of the environment", dsn: "postgres://u@db.example/florin",
			env: map[string]string{"PGSSLMODE": "require"}, refused: "db.example",
		},
		{name: "host of the environment", dsn: "postgres://u@/florin", env: map[string]string{"PGHOST": "db.example"}, refused: "db.example"},
		{
			name: "host of a service file", dsn: "postgres://u@/florin?service=florin",
			env: map[string]string{"PGSERVICEFILE": tlstest.File(t, "service", "[florin]\nhost=db.example\nsslmode=require\n")}, refused: "db.example",
		},
		{
			name: "verified host of a service file", dsn: "postgres://u@/florin?service=florin",
			env: map[string]string{"PGSERVICEFILE": tlstest.File(t, "service", "[florin]\nhost=db.example\nsslmode=verify-full\n")},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			_, err := newTarget(tt.dsn)
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrInsecure)
			require.ErrorContains(t, err, tt.refused+" is another host: add sslmode=verify-full")
			require.ErrorContains(t, err, "or set insecure: true in store")
			require.False(t, Temporary(err))
			_, err = newTarget(tt.dsn, AllowInsecure(true))
			require.NoError(t, err)
		})
	}
}

// Every function that connects refuses the DSN before it does.
func TestInsecureDSNIsRefusedWithoutItsPassword(t *testing.T) {
	const dsn = "postgres://u:hunter2@db.example/florin"
	_, opened := Open(t.Context(), dsn)
	_, _, migrated := Migrate(t.Context(), dsn)
	for _, err := range []error{opened, migrated, Grant(t.Context(), dsn, "florin_worker")} {
		require.ErrorIs(t, err, ErrInsecure)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestConnectionOverTLSVerifiesTheServerAndItsName(t *testing.T) {
	cluster, admin := ownServer(t)
	_, _, err := Migrate(t.Context(), cluster.DSN())
	require.NoError(t, err)
	const role = "florin_worker"
	_, err = cluster.CreateRole(t.Context(), role)
	require.NoError(t, err)
	require.NoError(t, Grant(t.Context(), cluster.DSN(), role))
	_, err = admin.Exec("ALTER ROLE " + role + " PASSWORD 'hunter2'")
	require.NoError(t, err)

	// Two addresses of this machine that no other test uses. The certificate is for the first one only.
	named := fmt.Sprintf("127.%d.%d.2", 1+mathrand.IntN(254), mathrand.IntN(256))
	unnamed := named[:len(named)-1] + "3"
	authority, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	certificate, key := authority.Issue(t, "PostgreSQL", named)
	restart(t, cluster, map[string]string{
		"ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": authority.PEM,
		"hba_file": "local all florin trust\nhostssl all all 127.0.0.0/8 scram-sha-256 clientcert=verify-ca\n",
	}, "listen_addresses="+named+","+unnamed, "ssl=on")

	certificate, key = authority.Issue(t, role)
	client := "&sslcert=" + tlstest.File(t, "client.crt", certificate) + "&sslkey=" + tlstest.File(t, "client.key", key)
	ca, otherCA := tlstest.File(t, "ca.pem", authority.PEM), tlstest.File(t, "other.pem", other.PEM)
	for _, tt := range []struct{ name, host, query, want string }{
		{name: "verified", host: named, query: "sslmode=verify-full&sslrootcert=" + ca + client},
		{
			name: "another name", host: unnamed, query: "sslmode=verify-full&sslrootcert=" + ca + client,
			want: "certificate is valid for " + named + ", not " + unnamed,
		},
		{
			name: "another authority", host: named, query: "sslmode=verify-full&sslrootcert=" + otherCA + client,
			want: "certificate signed by unknown authority",
		},
		{name: "the system's authorities", host: named, query: "sslmode=verify-full" + client, want: "certificate signed by unknown authority"},
		{
			name: "no client certificate", host: named, query: "sslmode=verify-full&sslrootcert=" + ca,
			want: "connection requires a valid client certificate",
		},
		{name: "plain text", host: named, query: "sslmode=disable", want: "no encryption"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(t.Context(), "postgres://"+role+":hunter2@"+tt.host+":5432/postgres?"+tt.query)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{"true"}, queryLines(t, s.reads, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
			require.NoError(t, s.Close())
		})
	}
}

// A rotated password, in a file that is replaced, applies to new connections. Until the file is complete, the last URL stays in use.
func TestNewConnectionsUseTheCurrentDSN(t *testing.T) {
	cluster, admin := ownServer(t)
	_, _, err := Migrate(t.Context(), cluster.DSN())
	require.NoError(t, err)
	const role = "florin_worker"
	dsn, err := cluster.CreateRole(t.Context(), role)
	require.NoError(t, err)
	require.NoError(t, Grant(t.Context(), cluster.DSN(), role))
	restart(t, cluster, map[string]string{"hba_file": "local all florin trust\nlocal all all scram-sha-256\n"})
	rotate := func(password string) {
		_, err := admin.Exec("ALTER ROLE " + role + " PASSWORD '" + password + "'")
		require.NoError(t, err)
	}
	file := filepath.Join(t.TempDir(), "url")
	publish := func(content string) { require.NoError(t, os.WriteFile(file, []byte(content), 0o600)) }
	read := func() (string, error) {
		content, err := os.ReadFile(file)
		return string(content), err
	}
	var failures []error
	first := withParameter(t, dsn, "password", "first1")
	rotate("first1")
	publish(first)
	s, err := Open(t.Context(), first, Reread(read, func(err error) { failures = append(failures, err) }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	reconnect := func() error {
		s.db.closeIdle()
		s.reads.closeIdle()
		_, err := s.Backlog(t.Context())
		if err == nil {
			err = s.CheckWrite(t.Context())
		}
		return err
	}

	rotate("second2")
	require.NoError(t, s.CheckWrite(t.Context()), "open connections stay")
	err = reconnect()
	require.ErrorContains(t, err, "password authentication failed")
	publish(withParameter(t, dsn, "password", "second2"))
	require.NoError(t, reconnect())
	require.Empty(t, failures)

	for _, tt := range []struct{ name, content, want string }{
		{name: "half written", content: "postgres://florin_worker:second2@[", want: "invalid: database"},
		{name: "another kind of database", content: "sqlite:///florin.db", want: "the store is in PostgreSQL"},
		{name: "another host without TLS", content: "postgres://florin_worker:second2@db.example/florin", want: "add sslmode=verify-full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failures = nil
			publish(tt.content)
			require.NoError(t, reconnect())
			require.NotEmpty(t, failures)
			require.ErrorContains(t, failures[0], tt.want)
			require.NotContains(t, failures[0].Error(), "second2")
		})
	}
	require.NoError(t, os.Remove(file))
	require.NoError(t, reconnect(), "the file is missing for a moment")

	// A role that may do too much is refused here, too.
	publish(cluster.DSN())
	require.ErrorIs(t, reconnect(), ErrPrivileged)
}

// restart restarts a server with settings that apply until its end. files are the settings that name a file, with its content.
func restart(t *testing.T, cluster *postgrestest.Cluster, files map[string]string, settings ...string) {
	t.Helper()
	for setting, content := range files {
		path, err := cluster.WriteFile(t.Context(), setting, []byte(content))
		require.NoError(t, err)
		settings = append(settings, setting+"="+path)
	}
	require.NoError(t, cluster.Stop())
	require.NoError(t, cluster.StartAgain(t.Context(), settings...))
}
