package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/postgrestest"
)

func TestConnectionToAnotherHostNeedsVerifiedTLS(t *testing.T) {
	authority := newAuthority(t)
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
		{name: "a private authority without a mode", dsn: "postgres://u@db.example/florin?sslrootcert=" + authority.file, refused: "db.example"},
		{name: "verify-full", dsn: "postgres://u@db.example/florin?sslmode=verify-full"},
		{name: "verify-full, private authority", dsn: "postgres://u@db.example/florin?sslmode=verify-full&sslrootcert=" + authority.file},
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
			env: map[string]string{"PGSERVICEFILE": write(t, "service", "[florin]\nhost=db.example\nsslmode=require\n")}, refused: "db.example",
		},
		{
			name: "verified host of a service file", dsn: "postgres://u@/florin?service=florin",
			env: map[string]string{"PGSERVICEFILE": write(t, "service", "[florin]\nhost=db.example\nsslmode=verify-full\n")},
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
	named := fmt.Sprintf("127.%d.%d.2", 1+mathrand.IntN(254), mathrand.IntN(256)) //nolint:gosec // not a secret
	unnamed := named[:len(named)-1] + "3"
	authority, other := newAuthority(t), newAuthority(t)
	certificate, key := authority.sign(t, "PostgreSQL", named)
	restart(t, cluster, map[string]string{"server.crt": certificate, "server.key": key, "ca.crt": authority.pem, "hba": "local all florin trust\n" +
		"hostssl all all 127.0.0.0/8 scram-sha-256 clientcert=verify-ca\n"},
		"listen_addresses="+named+","+unnamed, "ssl=on", "ssl_cert_file="+filepath.Join(filepath.Dir(cluster.Socket()), "server.crt"),
		"ssl_key_file="+filepath.Join(filepath.Dir(cluster.Socket()), "server.key"),
		"ssl_ca_file="+filepath.Join(filepath.Dir(cluster.Socket()), "ca.crt"), "hba_file="+filepath.Join(filepath.Dir(cluster.Socket()), "hba"))

	certificate, key = authority.sign(t, role, "")
	client := "&sslcert=" + write(t, "client.crt", certificate) + "&sslkey=" + write(t, "client.key", key)
	for _, tt := range []struct{ name, host, query, want string }{
		{name: "verified", host: named, query: "sslmode=verify-full&sslrootcert=" + authority.file + client},
		{
			name: "another name", host: unnamed, query: "sslmode=verify-full&sslrootcert=" + authority.file + client,
			want: "certificate is valid for " + named + ", not " + unnamed,
		},
		{
			name: "another authority", host: named, query: "sslmode=verify-full&sslrootcert=" + other.file + client,
			want: "certificate signed by unknown authority",
		},
		{name: "the system's authorities", host: named, query: "sslmode=verify-full" + client, want: "certificate signed by unknown authority"},
		{
			name: "no client certificate", host: named, query: "sslmode=verify-full&sslrootcert=" + authority.file,
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
	restart(t, cluster, map[string]string{"hba": "local all florin trust\nlocal all all scram-sha-256\n"},
		"hba_file="+filepath.Join(filepath.Dir(cluster.Socket()), "hba"))
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

// restart restarts a server with settings that apply until its end. The files are written beside its socket.
func restart(t *testing.T, cluster *postgrestest.Cluster, files map[string]string, settings ...string) {
	t.Helper()
	for name, content := range files {
		_, err := cluster.WriteFile(t.Context(), name, []byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, cluster.Stop())
	require.NoError(t, cluster.StartAgain(t.Context(), settings...))
}

// write writes a file that this user may read, and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem, file   string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{certificate: template("authority")}
	a.certificate.IsCA, a.certificate.BasicConstraintsValid, a.certificate.KeyUsage = true, true, x509.KeyUsageCertSign
	a.certificate.SubjectKeyId = []byte(rand.Text())
	a.pem, _, a.key = a.issue(t, a.certificate)
	a.file = write(t, "ca.pem", a.pem)
	return a
}

// sign returns a certificate and its key, in PEM, for the address; empty: for a client.
func (a authority) sign(t *testing.T, name, address string) (certificate, key string) {
	t.Helper()
	c := template(name)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if address != "" {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.ParseIP(address)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	certificate, key, _ = a.issue(t, c)
	return certificate, key
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: name}, //nolint:gosec // not a secret
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

// issue signs a certificate, with its own key if the authority has none yet.
func (a authority) issue(t *testing.T, c *x509.Certificate) (certificate, privateKey string, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, signer)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8), key
}
