package httpclient

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBaseURLs(t *testing.T) {
	for _, accepted := range []string{
		"https://api.example.com", "https://api.example.com/v1/", "https://api.example.com:8443", "https://10.0.0.1/pay",
		"http://localhost:8080", "http://127.0.0.1:8080", "http://127.8.9.10", "http://[::1]:8080", "http://simulator:8080", "http://simulator/v1",
	} {
		require.NoError(t, CheckBaseURL(accepted), accepted)
	}
	const clear, form = "unencrypted: want https", "want https://host/path"
	for _, tc := range []struct{ url, problem string }{
		{"http://api.example.com", clear},
		{"http://simulator.default.svc:8080", clear},
		{"http://10.0.0.1:8080", clear},
		{"http://192.168.1.2", clear},
		{"http://0.0.0.0:8080", clear},
		{"http://[fe80::1%25eth0]:8080", clear},
		{"http://localhost.example.com", clear},
		{"", form}, {"api.example.com", form}, {"//api.example.com", form}, {"/v1", form},
		{"ftp://localhost", form}, {"HTTPS//x", form}, {"https://", form}, {"https:///v1", form}, {"https://:8443/v1", form}, {"http://:8080", form},
		{"https://h/?k=sk_secret", form}, {"https://h/#sk_secret", form}, {"https://me:sk_secret@h", form}, {"https://sk_secret@h", form},
		{"me:sk_secret@h/v1", form}, {"https://me:sk_secret%zz@h", form}, {"https://h:sk_secret", form}, {"https://h\n/", form},
	} {
		err := CheckBaseURL(tc.url)
		require.ErrorContains(t, err, tc.problem, tc.url)
		require.NotContains(t, err.Error(), "sk_secret")
	}
}
