package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// selfSigned returns a certificate and its private key in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "florin"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestTLSReadsAuthoritiesAndTheClientCertificate(t *testing.T) {
	folder := t.TempDir()
	certificate, key := selfSigned(t)
	_, otherKey := selfSigned(t)
	file := func(name, content string) Secret {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return Secret{File: path}
	}
	const canary = "sk_live_4eC39HqLyjWD"
	good, goodKey := file("cert.pem", certificate), file("key.pem", key)
	for _, tt := range []struct {
		name string
		tls  TLS
		want string // empty: valid
	}{
		{name: "nothing"},
		{name: "authority", tls: TLS{CA: good}},
		{name: "authority and client certificate", tls: TLS{CA: good, Certificate: good, Key: goodKey}},
		{name: "missing authority", tls: TLS{CA: Secret{File: folder + "/none"}}, want: "tls.ca: open " + folder + "/none"},
		{name: "authority that is not PEM", tls: TLS{CA: file("ca", canary)}, want: "tls.ca: file " + folder + "/ca has no certificate"},
		{name: "missing certificate", tls: TLS{Certificate: Secret{File: folder + "/none"}, Key: goodKey}, want: "tls.certificate: open"},
		{name: "missing key", tls: TLS{Certificate: good, Key: Secret{Env: "FLORIN_TEST_UNSET"}},
			want: "tls.key: environment variable FLORIN_TEST_UNSET is not set"},
		{name: "key of another certificate", tls: TLS{Certificate: good, Key: file("other.pem", otherKey)},
			want: "tls: file " + folder + "/cert.pem and file " + folder + "/other.pem are not a certificate in PEM and its private key"},
		{name: "key that is not PEM", tls: TLS{Certificate: good, Key: file("key", canary)}, want: "and its private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.tls.Config()
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), canary)
				require.Nil(t, c)
				return
			}
			require.NoError(t, err)
			require.GreaterOrEqual(t, c.MinVersion, uint16(0x0303), "TLS 1.2")
			require.False(t, c.InsecureSkipVerify)
			require.Equal(t, tt.tls.CA != Secret{}, c.RootCAs != nil)
			require.Equal(t, tt.tls.Certificate != Secret{}, len(c.Certificates) == 1)
		})
	}
}

func TestIncompleteTLSSettingsAreInvalid(t *testing.T) {
	one := Secret{File: "a"}
	for _, tt := range []struct {
		tls  TLS
		want []string
	}{
		{tls: TLS{}},
		{tls: TLS{CA: one}},
		{tls: TLS{CA: one, Certificate: one, Key: one}},
		{tls: TLS{CA: Secret{Env: "A", File: "b"}}, want: []string{"tls.ca: want either env or file"}},
		{tls: TLS{Certificate: one}, want: []string{"tls: want certificate and key together, or neither"}},
		{tls: TLS{Key: one}, want: []string{"tls: want certificate and key together, or neither"}},
	} {
		var got []string
		for _, problem := range tt.tls.problems() {
			got = append(got, problem.Error())
		}
		require.Equal(t, tt.want, got)
	}
}
