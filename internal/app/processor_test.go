package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/internal/config"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "private authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate: certificate, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns a certificate for 127.0.0.1, for servers and clients, and its key in PEM.
func (a authority) issue(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &private.PublicKey, a.key)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// requiringCertificates is the configuration of a server that has a certificate of the authority and requires one of the client.
func (a authority) requiringCertificates(t *testing.T, protocols ...string) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(a.issue(t))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: protocols,
		MinVersion: tls.VersionTLS12,
	}
}

// clientFiles writes a client's files and returns references to them.
func (a authority) clientFiles(t *testing.T, folder string) config.TLS {
	t.Helper()
	certificate, key := a.issue(t)
	file := func(name string, content []byte) config.Secret {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return config.Secret{File: path}
	}
	return config.TLS{CA: file("ca.pem", a.pem), Certificate: file("client.pem", certificate), Key: file("client-key.pem", key)}
}

func TestProcessorWithAPrivateAuthorityAndClientCertificates(t *testing.T) {
	for name, protocols := range map[string][]string{"HTTP/2": {"h2", "http/1.1"}, "HTTP/1.1": {"http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			first, second := newAuthority(t), newAuthority(t)
			var current atomic.Pointer[tls.Config]
			current.Store(first.requiringCertificates(t, protocols...))
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/token" {
					_, _ = io.WriteString(w, `{"access_token":"at_1","token_type":"bearer","expires_in":600}`)
					return
				}
				w.Header().Set("X-Request-Id", r.Proto)
				_, _ = io.WriteString(w, `{}`)
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil }, MinVersion: tls.VersionTLS12,
			}
			s.StartTLS()
			defer s.Close()

			t.Setenv("FLORIN_TEST_KEY", "sk_secret")
			folder := t.TempDir()
			files := first.clientFiles(t, folder)
			open := func(change func(*config.Processor)) (*OpenProcessor, error) {
				p := config.Processor{Adapter: "rest", BaseURL: s.URL, APIKey: config.Secret{Env: "FLORIN_TEST_KEY"}, TLS: files}
				if change != nil {
					change(&p)
				}
				c, err := config.Config{Processors: map[string]config.Processor{"acme": p}}.Complete(BuiltIn)
				require.NoError(t, err)
				opened, err := openProcessor(t.Context(), "acme", c.Processors["acme"], BuiltIn, nil, nil, nil, nil)
				if err == nil {
					t.Cleanup(opened.Close)
				}
				return opened, err
			}
			call := func(opened *OpenProcessor) (processor.Answer, error) {
				return opened.Client.Do(t.Context(), processor.Call{Method: http.MethodGet, Path: "/payments"})
			}
			opened, err := open(nil)
			require.NoError(t, err)
			answer, err := call(opened)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"HTTP/2": "HTTP/2.0", "HTTP/1.1": "HTTP/1.1"}[name], answer.RequestID)

			withOAuth := func(p *config.Processor) {
				p.APIKey = config.Secret{}
				p.OAuth = config.OAuth{TokenURL: s.URL + "/token", ClientID: "florin", ClientSecret: config.Secret{Env: "FLORIN_TEST_KEY"}}
			}
			byToken, err := open(withOAuth)
			require.NoError(t, err, "the token endpoint requires the certificate, too")
			_, err = call(byToken)
			require.NoError(t, err)

			untrusting, err := open(func(p *config.Processor) { p.TLS.CA = config.Secret{} })
			require.NoError(t, err)
			_, err = call(untrusting)
			var failed *processor.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, payment.ClassConfig, failed.Class, "the operating system does not know the authority")
			require.Equal(t, processor.NotExecuted, failed.Certainty)

			anonymous, err := open(func(p *config.Processor) { p.TLS.Certificate, p.TLS.Key = config.Secret{}, config.Secret{} })
			require.NoError(t, err)
			_, err = call(anonymous)
			require.Error(t, err)

			// The processor and Florin replace their certificates and the authority. The next connection uses the new files.
			current.Store(second.requiringCertificates(t, protocols...))
			second.clientFiles(t, folder)
			for _, each := range []*OpenProcessor{opened, byToken} {
				each.Client.Close()
				_, err = call(each)
				require.NoError(t, err)
			}

			require.NoError(t, os.WriteFile(files.Key.File, []byte("sk_live_4eC39HqLyjWD"), 0o600))
			opened.Client.Close()
			_, err = call(opened)
			require.ErrorAs(t, err, &failed)
			require.Equal(t, processor.NotExecuted, failed.Certainty)
			require.True(t, failed.Retry, "the file may be replaced next")
			require.NotContains(t, err.Error(), "sk_live")
			_, err = open(nil)
			require.ErrorContains(t, err, "tls: file "+files.Certificate.File+" and file "+files.Key.File+" are not a certificate")
			_, err = open(withOAuth)
			require.ErrorContains(t, err, "oauth: tls: file "+files.Certificate.File)
		})
	}
}
