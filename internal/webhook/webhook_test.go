package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const secret = "whsec_test_secret"

var (
	noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	body = []byte(`{"id":"evt_1","object":"event"}`)
)

func verifier(tb testing.TB, tolerance time.Duration, secrets ...string) *Verifier {
	tb.Helper()
	v, err := New(secrets, tolerance)
	require.NoError(tb, err)
	return v
}

// signature returns the value of v1 in the header that Sign returns.
func signature(secret string, body []byte, at time.Time) string {
	_, hexadecimal, _ := strings.Cut(Sign(secret, body, at), ",v1=")
	return hexadecimal
}

// The signatures were computed with Python's hmac, and the first one also with openssl.
func TestSignEqualsIndependentlyComputedSignatures(t *testing.T) {
	for _, c := range []struct {
		secret, body string
		at           time.Time
		want         string
	}{
		{
			secret: secret, body: string(body), at: noon,
			want: "t=1768478400,v1=f83f691465d637eb6098f7db9ae785713b7f708ff0a94c4080e9a5512688f267",
		},
		{
			secret: secret, body: "", at: noon.Add(time.Second - 1),
			want: "t=1768478400,v1=44e3b71eb75ec134a0f54d57763c8958ba0a880f2ffa2f3359fe35a17650a624",
		},
		{
			secret: strings.Repeat("s", 100), body: "\x00\xff\r\n", at: time.Unix(0, 0),
			want: "t=0,v1=0af927f015d6df57e570f6c353d82a4dab8defbf2a2ba5653c70a5d82b9e4251",
		},
		{
			secret: "whsec_é_0123456789", body: "{}", at: time.Unix(1<<40-1, 0),
			want: "t=1099511627775,v1=6c772ebb032f1b77461f68ab014ed1100bd06f299df29ca32035296b0ff5be33",
		},
	} {
		require.Equal(t, c.want, Sign(c.secret, []byte(c.body), c.at))
		require.NoError(t, verifier(t, 0, c.secret).Verify(c.want, []byte(c.body), c.at))
	}
}

func TestChangeOfAnyBitOfHeaderOrBodyIsRejected(t *testing.T) {
	v, header := verifier(t, 0, secret), Sign(secret, body, noon)
	require.NoError(t, v.Verify(header, body, noon))
	for bit := range 8 {
		for i := range body {
			changed := []byte(string(body))
			changed[i] ^= 1 << bit
			require.ErrorIs(t, v.Verify(header, changed, noon), ErrMismatch, "byte %d", i)
		}
		for i := range header {
			changed := []byte(header)
			changed[i] ^= 1 << bit
			require.Error(t, v.Verify(string(changed), body, noon), "%s", changed)
		}
	}
	require.ErrorIs(t, v.Verify(header, body[1:], noon), ErrMismatch)
	require.ErrorIs(t, v.Verify(header, body[:len(body)-1], noon), ErrMismatch)
	require.ErrorIs(t, v.Verify(header, append([]byte(" "), body...), noon), ErrMismatch)
	require.ErrorIs(t, v.Verify(header, nil, noon), ErrMismatch)
}

// A dot separates the time from the body, and only digits are accepted before it.
func TestDigitsCannotBeMovedBetweenTimeAndBody(t *testing.T) {
	v, good := verifier(t, math.MaxInt64, secret), signature(secret, []byte("5.body"), time.Unix(176847840, 0))
	require.NoError(t, v.Verify("t=176847840,v1="+good, []byte("5.body"), noon))
	for timestamp, body := range map[string]string{"1768478405": "body", "176847840.5": "body", "17684784": "0.5.body"} {
		require.Error(t, v.Verify("t="+timestamp+",v1="+good, []byte(body), noon))
	}
}

func TestDuringRotationBothSecretsAreAccepted(t *testing.T) {
	const old, replacement, foreign = "whsec_old_secret", "whsec_new_secret", "whsec_foreign_secret"
	byOld, byNew, byForeign := signature(old, body, noon), signature(replacement, body, noon), signature(foreign, body, noon)
	for name, c := range map[string]struct {
		active     []string
		signatures []string
		want       error
	}{
		"signed with the old secret":        {active: []string{old, replacement}, signatures: []string{byOld}, want: nil},
		"signed with the new secret":        {active: []string{old, replacement}, signatures: []string{byNew}, want: nil},
		"signed with both":                  {active: []string{old, replacement}, signatures: []string{byNew, byOld}, want: nil},
		"only the old secret is configured": {active: []string{old}, signatures: []string{byNew, byOld}, want: nil},
		"only the new secret is configured": {active: []string{replacement}, signatures: []string{byOld, byNew}, want: nil},
		"old secret after the rotation":     {active: []string{replacement}, signatures: []string{byOld}, want: ErrMismatch},
		"foreign secret":                    {active: []string{old, replacement}, signatures: []string{byForeign}, want: ErrMismatch},
		"foreign signature first":           {active: []string{old, replacement}, signatures: []string{byForeign, byNew}, want: nil},
		"same secret and signature twice":   {active: []string{old, old}, signatures: []string{byOld, byOld}, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			header := fmt.Sprintf("t=%d", noon.Unix())
			for _, s := range c.signatures {
				header += ",v1=" + s
			}
			require.ErrorIs(t, verifier(t, 0, c.active...).Verify(header, body, noon), c.want)
		})
	}
}

func TestTimeOfSigningMustBeWithinTheTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		tolerance time.Duration
		age       time.Duration
		want      error
	}{
		"signed now":                                {tolerance: 0, age: 0, want: nil},
		"default tolerance, in the past":            {tolerance: 0, age: 5 * time.Minute, want: nil},
		"over the default tolerance, in the past":   {tolerance: 0, age: 5*time.Minute + 1, want: ErrTooOld},
		"default tolerance, in the future":          {tolerance: 0, age: -5 * time.Minute, want: nil},
		"over the default tolerance, in the future": {tolerance: 0, age: -5*time.Minute - 1, want: ErrTooOld},
		"own tolerance, in the past":                {tolerance: time.Second, age: time.Second, want: nil},
		"over the own tolerance, in the past":       {tolerance: time.Second, age: time.Second + 1, want: ErrTooOld},
		"over the own tolerance, in the future":     {tolerance: time.Second, age: -time.Second - 1, want: ErrTooOld},
		"clock that was never set":                  {tolerance: 0, age: -time.Duration(noon.Unix()) * time.Second, want: ErrTooOld},
		"a year ago":                                {tolerance: 0, age: 365 * 24 * time.Hour, want: ErrTooOld},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, verifier(t, c.tolerance, secret).Verify(Sign(secret, body, noon), body, noon.Add(c.age)), c.want)
		})
	}
	for _, far := range []time.Time{time.Unix(0, 0), time.Unix(1<<40-1, 0)} {
		require.ErrorIs(t, verifier(t, 0, secret).Verify(Sign(secret, body, far), body, noon), ErrTooOld)
		require.ErrorIs(t, verifier(t, 0, secret).Verify(Sign(secret, body, far), body, time.Time{}), ErrTooOld)
	}
}

func TestHeaderIsParsedStrictly(t *testing.T) {
	good := signature(secret, body, noon)
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		header string
		want   error
	}{
		"valid":                        {header: "t=1768478400,v1=" + good, want: nil},
		"elements in another order":    {header: "v1=" + good + ",t=1768478400", want: nil},
		"also the test scheme":         {header: "t=1768478400,v1=" + good + ",v0=" + other, want: nil},
		"also unknown schemes":         {header: "t=1768478400,v2=a=b;c,v1=" + good + ",pq_1=", want: nil},
		"space after the comma":        {header: "t=1768478400, v1=" + good, want: nil},
		"space at the end":             {header: "t=1768478400,v1=" + good + " ", want: nil},
		"space at the start":           {header: " t=1768478400,v1=" + good, want: nil},
		"blanks around every part":     {header: " v0 = 1 ,\tt = 1768478400\t,  v1 = " + good + " , v1=" + other, want: nil},
		"maximum number of signatures": {header: "t=1768478400" + strings.Repeat(",v1="+other, 7) + ",v1=" + good, want: nil},
		"too many signatures":          {header: "t=1768478400,v1=" + good + strings.Repeat(",v1="+other, 8), want: ErrMalformed},
		"maximum length":               {header: padded("t=1768478400,v1="+good, 4096), want: nil},
		"over the maximum length":      {header: padded("t=1768478400,v1="+good, 4097), want: ErrMalformed},

		"empty":                                  {header: "", want: ErrNoSignature},
		"no signature":                           {header: "t=1768478400", want: ErrNoSignature},
		"only the test scheme":                   {header: "t=1768478400,v0=" + good, want: ErrNoSignature},
		"only an unknown scheme":                 {header: "t=1768478400,v2=" + good, want: ErrNoSignature},
		"valid signature of another scheme":      {header: "t=1768478400,v11=" + good, want: ErrNoSignature},
		"no time":                                {header: "v1=" + good, want: ErrMalformed},
		"signature with a foreign secret":        {header: "t=1768478400,v1=" + other, want: ErrMismatch},
		"time twice":                             {header: "t=1768478400,t=1768478400,v1=" + good, want: ErrMalformed},
		"time twice, one is wrong":               {header: "t=1768478400,v1=" + good + ",t=1", want: ErrMalformed},
		"empty time":                             {header: "t=,v1=" + good, want: ErrMalformed},
		"empty time and a valid one":             {header: "t=,t=1768478400,v1=" + good, want: ErrMalformed},
		"time with a leading zero":               {header: "t=01768478400,v1=" + good, want: ErrMalformed},
		"time with a plus sign":                  {header: "t=+1768478400,v1=" + good, want: ErrMalformed},
		"negative time":                          {header: "t=-1768478400,v1=" + good, want: ErrMalformed},
		"time with a fraction":                   {header: "t=1768478400.0,v1=" + good, want: ErrMalformed},
		"time with an exponent":                  {header: "t=1e9,v1=" + good, want: ErrMalformed},
		"hexadecimal time":                       {header: "t=0x69000000,v1=" + good, want: ErrMalformed},
		"time with underscores":                  {header: "t=1_768_478_400,v1=" + good, want: ErrMalformed},
		"time with full-width digits":            {header: "t=１７６８４７８４００,v1=" + good, want: ErrMalformed},
		"date instead of a time":                 {header: "t=2026-01-15T12:00:00Z,v1=" + good, want: ErrMalformed},
		"time over 40 bits":                      {header: "t=1099511627776,v1=" + good, want: ErrMalformed},
		"time that overflows int64":              {header: "t=18446744075478029056,v1=" + good, want: ErrMalformed},
		"empty signature":                        {header: "t=1768478400,v1=", want: ErrMalformed},
		"signature of 31 bytes":                  {header: "t=1768478400,v1=" + good[:62], want: ErrMalformed},
		"signature with an odd number of digits": {header: "t=1768478400,v1=" + good[:63], want: ErrMalformed},
		"signature of 33 bytes":                  {header: "t=1768478400,v1=" + good + "00", want: ErrMalformed},
		"invalid signature after a valid one":    {header: "t=1768478400,v1=" + good + ",v1=x", want: ErrMalformed},
		"signature in upper case":                {header: "t=1768478400,v1=" + strings.ToUpper(good), want: ErrMalformed},
		"signature that is not hexadecimal":      {header: "t=1768478400,v1=g" + good[1:], want: ErrMalformed},
		"signature in quotes":                    {header: `t=1768478400,v1="` + good + `"`, want: ErrMalformed},
		"signature in base64":                    {header: "t=1768478400,v1=+D9pFGXWN+tgmPfbmueFcTt/cI/wqUxAgOmlUSaI8mc=", want: ErrMalformed},
		"space within the name":                  {header: "t=1768478400,v 1=" + good, want: ErrMalformed},
		"space within the time":                  {header: "t=1768 478400,v1=" + good, want: ErrMalformed},
		"space within the signature":             {header: "t=1768478400,v1=" + good[:32] + " " + good[33:], want: ErrMalformed},
		"signature with a space for a digit":     {header: "t=1768478400,v1= " + good[1:], want: ErrMalformed},
		"only spaces":                            {header: "  ", want: ErrMalformed},
		"space for an element":                   {header: "t=1768478400, ,v1=" + good, want: ErrMalformed},
		"space for a name":                       {header: "t=1768478400,v1=" + good + ", =1", want: ErrMalformed},
		"space for a time":                       {header: "t= ,v1=" + good, want: ErrMalformed},
		"no-break space after the comma":         {header: "t=1768478400,\u00a0v1=" + good, want: ErrMalformed},
		"names in upper case":                    {header: "T=1768478400,V1=" + good, want: ErrMalformed},
		"element without a name":                 {header: "t=1768478400,v1=" + good + ",=1", want: ErrMalformed},
		"element without a value":                {header: "t=1768478400,v1=" + good + ",v0", want: ErrMalformed},
		"comma at the end":                       {header: "t=1768478400,v1=" + good + ",", want: ErrMalformed},
		"two commas in a row":                    {header: "t=1768478400,,v1=" + good, want: ErrMalformed},
		"only commas":                            {header: ",,,", want: ErrMalformed},
		"semicolons":                             {header: "t=1768478400;v1=" + good, want: ErrMalformed},
		"line feed at the end":                   {header: "t=1768478400,v1=" + good + "\n", want: ErrMalformed},
		"zero byte in the time":                  {header: "t=1768478400\x00,v1=" + good, want: ErrMalformed},
		"only the hexadecimal signature":         {header: good, want: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			err := verifier(t, 0, secret).Verify(c.header, body, noon)
			require.ErrorIs(t, err, c.want)
			requireSecrecy(t, err)
		})
	}
}

// padded extends a header to the given length in bytes.
func padded(header string, length int) string {
	return header + ",v0=" + strings.Repeat("0", length-len(header)-len(",v0="))
}

// requireSecrecy requires that an error contains no secret, no body and no signature, because callers may log errors or
// return them to the client.
func requireSecrecy(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	require.NotContains(t, err.Error(), secret)
	require.NotContains(t, err.Error(), "evt_1")
	require.NotRegexp(t, `[0-9a-fA-F]{16}`, err.Error(), "a signature or a part of one")
}

func TestTooLargeBodyIsRejected(t *testing.T) {
	v, largest := verifier(t, 0, secret), make([]byte, MaxBody)
	require.NoError(t, v.Verify(Sign(secret, largest, noon), largest, noon))
	larger := append(largest, 0)
	require.ErrorIs(t, v.Verify(Sign(secret, larger, noon), larger, noon), ErrTooLarge)
}

func TestVerifierNeedsUsableSecretsAndTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		secrets   []string
		tolerance time.Duration
		want      string
	}{
		"nil list":            {secrets: nil, tolerance: 0, want: "no webhook secret: want at least one"},
		"empty list":          {secrets: []string{}, tolerance: 0, want: "no webhook secret: want at least one"},
		"empty secret":        {secrets: []string{""}, tolerance: 0, want: "webhook secret 1 of 1 is empty"},
		"empty second secret": {secrets: []string{secret, ""}, tolerance: 0, want: "webhook secret 2 of 2 is empty"},
		"only white space":    {secrets: []string{" \n"}, tolerance: 0, want: "webhook secret 1 of 1 is empty"},
		"line feed at the end": {
			secrets: []string{secret + "\n"}, tolerance: 0, want: "webhook secret 1 of 1 begins or ends with white space",
		},
		"space at the start of the second": {
			secrets: []string{secret, " " + secret}, tolerance: 0, want: "webhook secret 2 of 2 begins or ends with white space",
		},
		"15 bytes": {
			secrets: []string{secret, "whsec_123456789"}, tolerance: 0, want: "webhook secret 2 of 2 is too short: want at least 16 bytes",
		},
		"negative tolerance": {secrets: []string{secret}, tolerance: -1, want: "webhook tolerance -1ns: must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := New(c.secrets, c.tolerance)
			require.EqualError(t, err, c.want)
			require.Nil(t, v)
			requireSecrecy(t, err)
		})
	}
}

func TestPrintedVerifierContainsNoSecret(t *testing.T) {
	v := verifier(t, 0, secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, value := range []any{v, *v} {
			printed := fmt.Sprintf(verb, value)
			require.NotContains(t, printed, secret)
			require.NotContains(t, printed, fmt.Sprintf("%x", secret))
			require.NotContains(t, printed, fmt.Sprint([]byte(secret)))
		}
	}
}

// Otherwise a caller could add an empty secret after New has checked the list.
func TestVerifierCopiesTheListOfSecrets(t *testing.T) {
	secrets := []string{secret}
	v := verifier(t, 0, secrets...)
	secrets[0] = ""
	require.NoError(t, v.Verify(Sign(secret, body, noon), body, noon))
	require.ErrorIs(t, v.Verify(Sign("", body, noon), body, noon), ErrMismatch)
}

var signedTime = regexp.MustCompile(`(?:^|,)t=([0-9]+)(?:,|$)`)

func FuzzVerify(f *testing.F) {
	v := verifier(f, 0, secret, "whsec_new_secret")
	good := Sign(secret, body, noon)
	for _, header := range []string{
		"", good, good + ",v0=00", Sign("whsec_new_secret", body, noon), Sign("", body, noon), "t=1768478400,v1=", "t=1768478400,t=1,v1=00",
		strings.ToUpper(good), good + ",", "v1=" + signature(secret, body, noon) + ",t=1768478400",
	} {
		f.Add(header, body)
	}
	f.Add(Sign(secret, nil, noon), []byte{})
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		err := v.Verify(header, body, noon)
		if err == nil {
			times := signedTime.FindAllStringSubmatch(header, -1)
			require.Len(t, times, 1)
			signed := false
			for _, s := range []string{secret, "whsec_new_secret"} {
				mac := hmac.New(sha256.New, []byte(s))
				mac.Write([]byte(times[0][1] + "." + string(body)))
				signed = signed || strings.Contains(header, fmt.Sprintf("v1=%x", mac.Sum(nil)))
			}
			require.True(t, signed, "%q was accepted without a valid signature", header)
		}
		for _, secretText := range []string{secret, "whsec_new_secret"} {
			if err != nil {
				require.NotContains(t, err.Error(), secretText)
			}
			signed := Sign(secretText, body, noon)
			require.NoError(t, v.Verify(signed, body, noon))
			require.ErrorIs(t, v.Verify(signed, append(body[:len(body):len(body)], 'x'), noon), ErrMismatch)
		}
	})
}
