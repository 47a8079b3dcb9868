package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLS configures connections to a server with TLS, for a private certificate authority and for a server that asks for a client
// certificate. Every file is PEM, and is read again for each new connection, so that a replaced file needs no restart.
type TLS struct {
	// CA refers to the certificates of the authorities that may sign the server's certificate. Without it, those of the operating
	// system may.
	CA Secret `yaml:"ca"`
	// Certificate refers to the client certificate, followed by those of intermediate authorities. Without it, none is sent.
	// Bounds: only together with tls.key.
	Certificate Secret `yaml:"certificate"`
	// Key refers to the private key of the client certificate, which is not encrypted.
	// Bounds: only together with tls.certificate.
	Key Secret `yaml:"key"`
}

// Config reads the files and returns the configuration of a client's connection; call it for each new connection. The caller sets
// ServerName unless its dialer does, and may change what is returned. The zero TLS trusts the operating system's authorities and
// sends no certificate. An error names the key below tls and the file or variable, and contains no content of it.
func (t TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != (Secret{}) {
		content, err := t.CA.Load()
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(content)) {
			return nil, fmt.Errorf("tls.ca: %s has no certificate: want PEM with CERTIFICATE blocks", t.CA.source())
		}
	}
	if t.Certificate == (Secret{}) && t.Key == (Secret{}) {
		return c, nil
	}
	certificate, err := t.Certificate.Load()
	if err != nil {
		return nil, fmt.Errorf("tls.certificate: %w", err)
	}
	key, err := t.Key.Load()
	if err != nil {
		return nil, fmt.Errorf("tls.key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("tls: %s and %s are not a certificate in PEM and its private key: %w",
			t.Certificate.source(), t.Key.source(), err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// problems returns everything that is invalid without reading a file. Each problem begins with the key below tls.
func (t TLS) problems() (problems []error) {
	for _, named := range []struct {
		name   string
		secret Secret
	}{{"ca", t.CA}, {"certificate", t.Certificate}, {"key", t.Key}} {
		if err := named.secret.problem(); named.secret != (Secret{}) && err != nil {
			problems = append(problems, fmt.Errorf("tls.%s: %w", named.name, err))
		}
	}
	if (t.Certificate == Secret{}) != (t.Key == Secret{}) {
		problems = append(problems, errors.New("tls: want certificate and key together, or neither"))
	}
	return problems
}
