package store

import (
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// requireTLS returns ErrInsecure unless every connection to another host would be encrypted and its server verified, as with
// sslmode=verify-full. It looks at what the driver would do, wherever the settings come from: the DSN, the PG… environment
// variables or a service file. With several hosts, or an sslmode that falls back to plain text, that is more than one attempt.
func requireTLS(c *pgx.ConnConfig) error {
	attempts := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, attempt := range attempts {
		verified := attempt.TLSConfig != nil && !attempt.TLSConfig.InsecureSkipVerify
		if !verified && !isLocal(attempt.Host, attempt.Port) {
			return fmt.Errorf("%w: %s is another host: add sslmode=verify-full to the query parameters of the database's URL, "+
				"with sslrootcert=FILE if its certificate is of a private CA, or set insecure: true in store", ErrInsecure, attempt.Host)
		}
	}
	return nil
}

// isLocal reports whether a connection to the host does not leave this machine.
func isLocal(host string, port uint16) bool {
	network, _ := pgconn.NetworkAddress(host, port)
	ip, err := netip.ParseAddr(host)
	return network == "unix" || host == "localhost" || err == nil && ip.IsLoopback()
}
