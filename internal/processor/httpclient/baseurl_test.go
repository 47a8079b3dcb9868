package httpclient

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBaseURLs(t *testing.T) {
	for _, accepted := range []string{
		"https://api.example.com", "https://api.example.com/v1/", "https://api.example.com:8443", "https://10.0.0.1/pay",
		"http://localhost:8080", "http://127.0.0.1:8080", "http://127.8.9.10", "http://[::1]:8080",
		"http://LOCALHOST:8080",
	} {
		require.NoError(t, CheckBaseURL(accepted, false), accepted)
	}
	for _, insecure := range []string{"http://simulator:8080", "http://10.0.0.1/v1", "http://api.example.com"} {
		require.NoError(t, CheckBaseURL(insecure, true), insecure)
	}
	const unencrypted, form = "unencrypted: want https, or insecure: true", "want https://host/path"
	for _, tc := range []struct{ url, problem string }{
		{url: "http://api.example.com", problem: unencrypted},
		{url: "http://simulator.default.svc:8080", problem: unencrypted},
		{url: "http://10.0.0.1:8080", problem: unencrypted},
		{url: "http://192.168.1.2", problem: unencrypted},
		{url: "http://0.0.0.0:8080", problem: unencrypted},
		{url: "http://[fe80::1%25eth0]:8080", problem: unencrypted},
		{url: "http://localhost.example.com", problem: unencrypted},
		// Names that the network's DNS resolves to any machine.
		{url: "http://simulator:8080", problem: unencrypted}, {url: "http://simulator/v1", problem: unencrypted},
		{url: "http://localhost.:8080", problem: unencrypted}, {url: "http://2130706433:8080", problem: unencrypted},
		{url: "", problem: form}, {url: "api.example.com", problem: form}, {url: "//api.example.com", problem: form},
		{url: "/v1", problem: form},
		{url: "ftp://localhost", problem: form}, {url: "HTTPS//x", problem: form}, {url: "https://", problem: form},
		{url: "https:///v1", problem: form}, {url: "https://:8443/v1", problem: form}, {url: "http://:8080", problem: form},
		{url: "https://h/?k=sk_secret", problem: form}, {url: "https://h/#sk_secret", problem: form},
		{url: "https://me:sk_secret@h", problem: form}, {url: "https://sk_secret@h", problem: form},
		{url: "me:sk_secret@h/v1", problem: form}, {url: "https://me:sk_secret%zz@h", problem: form},
		{url: "https://h:sk_secret", problem: form}, {url: "https://h\n/", problem: form},
	} {
		err := CheckBaseURL(tc.url, false)
		require.ErrorContains(t, err, tc.problem, tc.url)
		require.NotContains(t, err.Error(), "sk_secret")
		if tc.problem == form {
			require.EqualError(t, CheckBaseURL(tc.url, true), err.Error(), "insecure allows http, and nothing else")
		}
	}
}
