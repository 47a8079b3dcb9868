package credentials

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func grant(url string) OAuth {
	return OAuth{TokenURL: url, ClientID: "florin", Secret: func() (string, error) { return "cs_secret", nil },
		Scopes: []string{"payments"}}
}

func TestTokenIsObtainedWithTheClientSecretAndRefreshedBeforeItExpires(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || id != "florin" || secret != "cs_secret" ||
			r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "payments" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"access_token":"at_1","token_type":"bearer","expires_in":600}`)
	})
	key, err := grant(s.URL).Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "at_1", key.Value)
	require.WithinRange(t, key.RefreshAt, time.Now().Add(8*time.Minute), time.Now().Add(10*time.Minute-tokenMargin))
}

func TestErrorOfTheTokenEndpointContainsNoSecret(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the secret followed a redirect") })
	for name, respond := range map[string]http.HandlerFunc{
		"401 that repeats the secret": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "bad secret cs_secret", http.StatusUnauthorized)
		},
		"500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "cs_secret", http.StatusInternalServerError)
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "cs_secret") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, respond)
			_, err := grant(s.URL).Load(t.Context())
			require.ErrorContains(t, err, s.URL)
			require.NotContains(t, err.Error(), "cs_secret")
		})
	}
}

func TestTokenIsNotObtainedThroughAProxyOfTheEnvironment(t *testing.T) {
	client, err := grant("https://login.example").client()
	require.NoError(t, err)
	transport, ok := client.Transport.(*http.Transport)
	require.True(t, ok)
	require.Nil(t, transport.Proxy)
}
