package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/florinpay/florin/processor"
)

// CheckBaseURL returns what is wrong with the base URL of a client. insecure allows http to another machine. The error never quotes
// a URL that may contain a password or a key.
func CheckBaseURL(baseURL string, insecure bool) error {
	_, err := parseBaseURL(baseURL, insecure)
	return err
}

func parseBaseURL(baseURL string, insecure bool) (*url.URL, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil, strings.Contains(baseURL, "@"), base.RawQuery != "", base.Fragment != "":
		return nil, errors.New("base_url: want https://host/path without user, query and fragment")
	case base.Hostname() == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, fmt.Errorf("base_url %q: want https://host/path", baseURL)
	case base.Scheme == "http" && !insecure && !isLoopback(base.Hostname()):
		return nil, fmt.Errorf("base_url %q would send the API key unencrypted: want https, or insecure: true", baseURL)
	}
	return base, nil
}

// prefix returns the URL to which the path of a call is appended.
func prefix(base *url.URL) string {
	clean := url.URL{Scheme: base.Scheme, Host: base.Host, Path: base.Path, RawPath: base.RawPath}
	return strings.TrimSuffix(clean.JoinPath("/").String(), "/")
}

// isLoopback reports whether the host is this machine. A name without a dot is another one, such as a service of docker-compose.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

func (c *Client) request(ctx context.Context, call processor.Call, bearer string) (*http.Request, error) {
	target := c.base + call.Path
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	for name, values := range call.Header {
		req.Header[name] = values
	}
	contentType := cmp.Or(call.ContentType, "application/json")
	// All values share one array, to save an allocation for each.
	values := [...]string{bearer, "application/json", contentType, call.Key}
	req.Header["Authorization"] = values[0:1:1]
	req.Header["Accept"] = values[1:2:2]
	if call.Body != nil {
		req.Header["Content-Type"] = values[2:3:3]
	}
	if call.Key != "" {
		req.Header["Idempotency-Key"] = values[3:4:4]
	}
	return req, nil
}
