// Package tlstest issues certificates for tests.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority is a private certificate authority. Its certificates are valid for an hour.
type Authority struct {
	// PEM is its own certificate.
	PEM         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority returns an authority with a new key.
func NewAuthority(tb testing.TB) Authority {
	tb.Helper()
	// Authorities of one test have different names, so that a chain of one is never tried with the key of another.
	a := Authority{certificate: template("authority " + rand.Text())}
	a.certificate.IsCA, a.certificate.BasicConstraintsValid, a.certificate.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newKey(tb)
	a.PEM = a.sign(tb, a.certificate, a.key)
	return a
}

// Issue returns a certificate for a server with the host names or addresses, which a client with the name may use, too, and its
// private key, both in PEM.
func (a Authority) Issue(tb testing.TB, name string, hosts ...string) (certificate, privateKey string) {
	tb.Helper()
	c, key := template(name), newKey(tb)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	return a.sign(tb, c, key), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Pool returns the authorities that a server or client trusts: only this one.
func (a Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(a.PEM))
	return pool
}

// File writes a file that only this user can read, and returns its path.
func File(tb testing.TB, name, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	require.NoError(tb, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return key
}

func (a Authority) sign(tb testing.TB, c *x509.Certificate, key *ecdsa.PrivateKey) string {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, a.key)
	require.NoError(tb, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
