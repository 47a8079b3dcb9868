package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
)

// issuerFile writes a private key as openssl does.
func issuerFile(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "issuer.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return path
}

func TestIssuedTokenIsOneThatServicesRead(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("s", 32)+"\n"), 0o600))
	for name, issuer := range map[string]string{"Ed25519": issuerFile(t, ed), "P-256": issuerFile(t, ec), "secret": secret} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "token.json")
			issue := []string{"token", "issue", "--issuer-key", issuer, "--subject", "jane", "--merchant", "acme,globex", "--role", "operator", "--out", out}
			_, _, err := execute(t, "", issue...)
			require.NoError(t, err)
			info, err := os.Stat(out)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			token, err := florin.TokenFile(out)(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, token.Claim)
			require.NotNil(t, token.Key)
			_, _, err = execute(t, "", issue...)
			require.ErrorIs(t, err, os.ErrExist, "a token is not replaced by mistake")
		})
	}
}

func TestKeysOfIssuersArePublic(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	out, _, err := execute(t, "", "token", "keys", issuerFile(t, private))
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(out), &set))
	require.Len(t, set.Keys, 1)
	require.True(t, set.Keys[0].IsPublic())
	require.NotEmpty(t, set.Keys[0].KeyID)
}

func TestTokensThatCannotBeIssuedAreUsageErrors(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	issuer, short := issuerFile(t, private), filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.WriteFile(short, []byte("sk_short"), 0o600))
	out := filepath.Join(t.TempDir(), "token.json")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no role":         {[]string{"--issuer-key", issuer, "--subject", "jane", "--merchant", "acme"}, "--role are required"},
		"unknown role":    {[]string{"--issuer-key", issuer, "--subject", "jane", "--merchant", "acme", "--role", "admin"}, `--role "admin"`},
		"a short secret":  {[]string{"--issuer-key", short, "--subject", "jane", "--merchant", "acme", "--role", "reader"}, "at least 32 bytes"},
		"no issuer's key": {[]string{"--issuer-key", "missing", "--subject", "jane", "--merchant", "acme", "--role", "reader"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := execute(t, "", append([]string{"token", "issue", "--out", out}, tt.args...)...)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, exitUsage, exitCode(err))
			require.NotContains(t, err.Error(), "sk_short")
			require.NoFileExists(t, out)
		})
	}
}
