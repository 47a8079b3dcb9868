package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/florinpay/florin/internal/caller"
)

// tokenCommand groups the commands of an issuer: an operator who has no identity provider, or wants to try it.
func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Issue tokens that prove to the workers who calls",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tokenIssueCommand(), tokenKeysCommand())
	return cmd
}

func tokenIssueCommand() *cobra.Command {
	var issuerKey, out string
	var roles []string
	var valid time.Duration
	c := caller.Claim{}
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Write a token file with a new key and a claim about it",
		Long: `Write a token file with a new key and a claim about it.

The issuer's key is a file with a private key in PEM (openssl genpkey -algorithm ed25519), whose public part the workers have in their
key set, or with a secret of at least 32 bytes that they have, too. The token file is as secret as a password.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, keyID, err := readIssuerKey(issuerKey)
			if err != nil {
				return usageError{err}
			}
			for _, role := range roles {
				switch role := caller.Role(role); role {
				case caller.Service, caller.Operator, caller.Reader:
					c.Roles = append(c.Roles, role)
				default:
					return usageError{fmt.Errorf("--role %q: want %s, %s or %s", role, caller.Service, caller.Operator, caller.Reader)}
				}
			}
			if c.Subject == "" || len(c.Merchants) == 0 || len(roles) == 0 || valid <= 0 {
				return usageError{errors.New("--subject, --merchant and --role are required, and --for must be above 0")}
			}
			content, err := issue(c, key, keyID, time.Now(), valid)
			if err != nil {
				return err
			}
			// O_EXCL: another token is not replaced by mistake.
			file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = file.Write(content)
			return errors.Join(err, file.Close())
		},
	}
	cmd.Flags().StringVar(&issuerKey, "issuer-key", "", "file with the issuer's private key or secret (required)")
	cmd.Flags().StringVar(&out, "out", "", "the token file to write; it must not exist (required)")
	cmd.Flags().StringVar(&c.Subject, "subject", "", "who calls, such as checkout or jane: what operators decide is recorded under it (required)")
	cmd.Flags().StringSliceVar(&c.Merchants, "merchant", nil, "a merchant that he may act for, or * for all; may be repeated (required)")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "service, operator or reader; may be repeated (required)")
	cmd.Flags().StringVar(&c.Issuer, "issuer", "", "the issuer, as authorize.issuer of the workers")
	cmd.Flags().StringVar(&c.Audience, "audience", "florin", "the audience, as authorize.audience of the workers")
	cmd.Flags().DurationVar(&valid, "for", 8*time.Hour, "how long the token is valid")
	for _, name := range []string{"issuer-key", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

// issue returns the content of a token file.
func issue(c caller.Claim, issuerKey any, keyID string, now time.Time, valid time.Duration) ([]byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if c.Thumbprint, err = caller.Thumbprint(public); err != nil {
		return nil, err
	}
	c.NotBefore, c.Expiry = now, now.Add(valid)
	claim, err := caller.Issue(c, issuerKey, keyID)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(map[string]any{"claim": claim, "key": jose.JSONWebKey{Key: private}}, "", "  ")
}

func tokenKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keys FILE…",
		Short: "Print the public parts of issuers' private keys as a JWKS, for authorize.jwks.file of the workers",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var set jose.JSONWebKeySet
			for _, path := range files {
				key, keyID, err := readIssuerKey(path)
				if err != nil {
					return usageError{err}
				}
				if _, secret := key.([]byte); secret {
					return usageError{fmt.Errorf("%s: is a secret, which has no public part: use authorize.secret", path)}
				}
				private := jose.JSONWebKey{Key: key, KeyID: keyID, Use: "sig"}
				set.Keys = append(set.Keys, private.Public())
			}
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(set)
		},
	}
}

// readIssuerKey reads a private key in PEM, or else a secret. The key's ID is its thumbprint.
func readIssuerKey(path string) (key any, keyID string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		secret := []byte(strings.TrimSpace(string(content)))
		if len(secret) < caller.MinSecret {
			return nil, "", fmt.Errorf("%s: want a private key in PEM, or a secret of at least %d bytes", path, caller.MinSecret)
		}
		return secret, "", nil
	}
	if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		return nil, "", fmt.Errorf("%s: want a private key in the form PKCS #8, as openssl genpkey writes it", path)
	}
	var public any
	switch key := key.(type) {
	case ed25519.PrivateKey:
		public = key.Public()
	case *ecdsa.PrivateKey:
		public = key.Public()
	case *rsa.PrivateKey:
		public = key.Public()
	default:
		return nil, "", fmt.Errorf("%s: want an Ed25519, ECDSA or RSA key", path)
	}
	keyID, err = caller.Thumbprint(public)
	return key, keyID, err
}
