package httpclient

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/processor"
)

func TestPathWithAnEmptyPartIsNotSent(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, path := range []string{"//", "//capture", "/payments//capture", "/payments//"} {
		call := charge()
		call.Path = path
		_, err := newClient(t, s.URL).Do(t.Context(), call)
		requireError(t, err, processor.NotExecuted, false, payment.ClassConfig)
	}
}

func TestPathMayEndWithASlash(t *testing.T) {
	var path string
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { path = r.URL.Path })
	call := charge()
	call.Path = "/payments/x/"
	_, err := newClient(t, s.URL).Do(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, "/payments/x/", path)
}
