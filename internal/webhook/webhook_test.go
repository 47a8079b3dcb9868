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

// signature is what stands after v1= in the header that Sign makes.
func signature(secret string, body []byte, at time.Time) string {
	_, hexadecimal, _ := strings.Cut(Sign(secret, body, at), ",v1=")
	return hexadecimal
}

// Computed with Python's hmac; the first one with openssl as well.
func TestSignaturesAreStripes(t *testing.T) {
	for want, c := range map[string]struct {
		secret, body string
		at           time.Time
	}{
		"t=1768478400,v1=f83f691465d637eb6098f7db9ae785713b7f708ff0a94c4080e9a5512688f267":    {secret: secret, body: string(body), at: noon},
		"t=1768478400,v1=44e3b71eb75ec134a0f54d57763c8958ba0a880f2ffa2f3359fe35a17650a624":    {secret: secret, body: "", at: noon.Add(time.Second - 1)},
		"t=0,v1=0af927f015d6df57e570f6c353d82a4dab8defbf2a2ba5653c70a5d82b9e4251":             {secret: strings.Repeat("s", 100), body: "\x00\xff\r\n", at: time.Unix(0, 0)},
		"t=1099511627775,v1=437f280c8bf3c7990886d72fdf18472c129b64fd952a36cdcb3496d47a2e88ae": {secret: "whsec_é", body: "{}", at: time.Unix(1<<40-1, 0)},
	} {
		require.Equal(t, want, Sign(c.secret, []byte(c.body), c.at))
		require.NoError(t, verifier(t, 0, c.secret).Verify(want, []byte(c.body), c.at))
	}
}

func TestAChangeOfAnyBitOfTheHeaderOrTheBodyIsRefused(t *testing.T) {
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

// The dot keeps them apart, and only digits may stand before it.
func TestTheTimeCannotBeMovedIntoTheBody(t *testing.T) {
	v, good := verifier(t, math.MaxInt64, secret), signature(secret, []byte("5.body"), time.Unix(176847840, 0))
	require.NoError(t, v.Verify("t=176847840,v1="+good, []byte("5.body"), noon))
	for timestamp, body := range map[string]string{"1768478405": "body", "176847840.5": "body", "17684784": "0.5.body"} {
		require.Error(t, v.Verify("t="+timestamp+",v1="+good, []byte(body), noon))
	}
}

func TestWhileASecretIsReplacedBothAreAccepted(t *testing.T) {
	const old, replacement, foreign = "whsec_old", "whsec_new", "whsec_foreign"
	byOld, byNew, byForeign := signature(old, body, noon), signature(replacement, body, noon), signature(foreign, body, noon)
	for name, c := range map[string]struct {
		active     []string
		signatures []string
		want       error
	}{
		"the old one":                     {active: []string{old, replacement}, signatures: []string{byOld}, want: nil},
		"the new one":                     {active: []string{old, replacement}, signatures: []string{byNew}, want: nil},
		"both":                            {active: []string{old, replacement}, signatures: []string{byNew, byOld}, want: nil},
		"we have only the old one yet":    {active: []string{old}, signatures: []string{byNew, byOld}, want: nil},
		"we have only the new one by now": {active: []string{replacement}, signatures: []string{byOld, byNew}, want: nil},
		"the old one after it was ended":  {active: []string{replacement}, signatures: []string{byOld}, want: ErrMismatch},
		"somebody else's":                 {active: []string{old, replacement}, signatures: []string{byForeign}, want: ErrMismatch},
		"somebody else's beside ours":     {active: []string{old, replacement}, signatures: []string{byForeign, byNew}, want: nil},
		"the same one twice":              {active: []string{old, old}, signatures: []string{byOld, byOld}, want: nil},
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

func TestTheTimeOfSigningIsWithinTheTolerance(t *testing.T) {
	for name, c := range map[string]struct {
		tolerance time.Duration
		age       time.Duration
		want      error
	}{
		"just now":                    {tolerance: 0, age: 0, want: nil},
		"as old as by default":        {tolerance: 0, age: 5 * time.Minute, want: nil},
		"a little older":              {tolerance: 0, age: 5*time.Minute + 1, want: ErrTooOld},
		"as far in the future":        {tolerance: 0, age: -5 * time.Minute, want: nil},
		"a little further":            {tolerance: 0, age: -5*time.Minute - 1, want: ErrTooOld},
		"as old as was asked for":     {tolerance: time.Second, age: time.Second, want: nil},
		"older than was asked for":    {tolerance: time.Second, age: time.Second + 1, want: ErrTooOld},
		"further than was asked for":  {tolerance: time.Second, age: -time.Second - 1, want: ErrTooOld},
		"a clock that was never set":  {tolerance: 0, age: -time.Duration(noon.Unix()) * time.Second, want: ErrTooOld},
		"a year ago, and that is all": {tolerance: 0, age: 365 * 24 * time.Hour, want: ErrTooOld},
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

func TestAHeaderIsReadStrictly(t *testing.T) {
	good := signature(secret, body, noon)
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		header string
		want   error
	}{
		"as it should be":             {header: "t=1768478400,v1=" + good, want: nil},
		"another order":               {header: "v1=" + good + ",t=1768478400", want: nil},
		"the test scheme besides":     {header: "t=1768478400,v1=" + good + ",v0=" + other, want: nil},
		"a scheme to come":            {header: "t=1768478400,v2=a=b;c,v1=" + good + ",pq_1=", want: nil},
		"as many as there may be":     {header: "t=1768478400" + strings.Repeat(",v1="+other, 7) + ",v1=" + good, want: nil},
		"the good one among too many": {header: "t=1768478400,v1=" + good + strings.Repeat(",v1="+other, 8), want: ErrMalformed},
		"as long as it may be":        {header: padded("t=1768478400,v1="+good, 4096), want: nil},
		"too long":                    {header: padded("t=1768478400,v1="+good, 4097), want: ErrMalformed},

		"nothing":                      {header: "", want: ErrNoSignature},
		"only a time":                  {header: "t=1768478400", want: ErrNoSignature},
		"only the test scheme":         {header: "t=1768478400,v0=" + good, want: ErrNoSignature},
		"a scheme to come, alone":      {header: "t=1768478400,v2=" + good, want: ErrNoSignature},
		"ours as another scheme":       {header: "t=1768478400,v11=" + good, want: ErrNoSignature},
		"no time":                      {header: "v1=" + good, want: ErrMalformed},
		"only somebody else's":         {header: "t=1768478400,v1=" + other, want: ErrMismatch},
		"the time twice":               {header: "t=1768478400,t=1768478400,v1=" + good, want: ErrMalformed},
		"the time twice, one is wrong": {header: "t=1768478400,v1=" + good + ",t=1", want: ErrMalformed},
		"an empty time":                {header: "t=,v1=" + good, want: ErrMalformed},
		"an empty time and a good one": {header: "t=,t=1768478400,v1=" + good, want: ErrMalformed},
		"a zero before the time":       {header: "t=01768478400,v1=" + good, want: ErrMalformed},
		"a sign before the time":       {header: "t=+1768478400,v1=" + good, want: ErrMalformed},
		"a negative time":              {header: "t=-1768478400,v1=" + good, want: ErrMalformed},
		"a fraction of a time":         {header: "t=1768478400.0,v1=" + good, want: ErrMalformed},
		"an exponent":                  {header: "t=1e9,v1=" + good, want: ErrMalformed},
		"hexadecimal time":             {header: "t=0x69000000,v1=" + good, want: ErrMalformed},
		"time with underscores":        {header: "t=1_768_478_400,v1=" + good, want: ErrMalformed},
		"other digits":                 {header: "t=１７６８４７８４００,v1=" + good, want: ErrMalformed},
		"a date":                       {header: "t=2026-01-15T12:00:00Z,v1=" + good, want: ErrMalformed},
		"a time past the limit":        {header: "t=1099511627776,v1=" + good, want: ErrMalformed},
		"a time that overflows":        {header: "t=18446744075478029056,v1=" + good, want: ErrMalformed},
		"an empty signature":           {header: "t=1768478400,v1=", want: ErrMalformed},
		"a short signature":            {header: "t=1768478400,v1=" + good[:62], want: ErrMalformed},
		"half a byte missing":          {header: "t=1768478400,v1=" + good[:63], want: ErrMalformed},
		"a long signature":             {header: "t=1768478400,v1=" + good + "00", want: ErrMalformed},
		"a broken one beside ours":     {header: "t=1768478400,v1=" + good + ",v1=x", want: ErrMalformed},
		"upper case":                   {header: "t=1768478400,v1=" + strings.ToUpper(good), want: ErrMalformed},
		"not hexadecimal":              {header: "t=1768478400,v1=g" + good[1:], want: ErrMalformed},
		"in quotes":                    {header: `t=1768478400,v1="` + good + `"`, want: ErrMalformed},
		"base64":                       {header: "t=1768478400,v1=+D9pFGXWN+tgmPfbmueFcTt/cI/wqUxAgOmlUSaI8mc=", want: ErrMalformed},
		"a space after the comma":      {header: "t=1768478400, v1=" + good, want: ErrMalformed},
		"a space at the end":           {header: "t=1768478400,v1=" + good + " ", want: ErrMalformed},
		"a space before":               {header: " t=1768478400,v1=" + good, want: ErrMalformed},
		"a name in upper case":         {header: "T=1768478400,V1=" + good, want: ErrMalformed},
		"no name":                      {header: "t=1768478400,v1=" + good + ",=1", want: ErrMalformed},
		"an element without a value":   {header: "t=1768478400,v1=" + good + ",v0", want: ErrMalformed},
		"a comma at the end":           {header: "t=1768478400,v1=" + good + ",", want: ErrMalformed},
		"two commas":                   {header: "t=1768478400,,v1=" + good, want: ErrMalformed},
		"only commas":                  {header: ",,,", want: ErrMalformed},
		"semicolons":                   {header: "t=1768478400;v1=" + good, want: ErrMalformed},
		"a line end":                   {header: "t=1768478400,v1=" + good + "\n", want: ErrMalformed},
		"zero bytes":                   {header: "t=1768478400\x00,v1=" + good, want: ErrMalformed},
		"only the signature":           {header: good, want: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			err := verifier(t, 0, secret).Verify(c.header, body, noon)
			require.ErrorIs(t, err, c.want)
			requireSecrecy(t, err)
		})
	}
}

// padded makes a header so many bytes long.
func padded(header string, length int) string {
	return header + ",v0=" + strings.Repeat("0", length-len(header)-len(",v0="))
}

// requireSecrecy: errors are logged, and answered to whoever sent the request.
func requireSecrecy(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	require.NotContains(t, err.Error(), secret)
	require.NotContains(t, err.Error(), "evt_1")
	require.NotRegexp(t, `[0-9a-fA-F]{16}`, err.Error(), "a signature, or a part of it")
}

func TestALargeBodyIsRefusedBeforeItIsHashed(t *testing.T) {
	v, largest := verifier(t, 0, secret), make([]byte, MaxBody)
	require.NoError(t, v.Verify(Sign(secret, largest, noon), largest, noon))
	larger := append(largest, 0)
	require.ErrorIs(t, v.Verify(Sign(secret, larger, noon), larger, noon), ErrTooLarge)
}

func TestAVerifierNeedsSecretsThatCanBeRight(t *testing.T) {
	for name, c := range map[string]struct {
		secrets   []string
		tolerance time.Duration
		want      string
	}{
		"no list":                   {secrets: nil, tolerance: 0, want: "no webhook secret: want at least one"},
		"an empty list":             {secrets: []string{}, tolerance: 0, want: "no webhook secret: want at least one"},
		"an empty secret":           {secrets: []string{""}, tolerance: 0, want: "webhook secret 1 of 1 is empty"},
		"an empty one besides":      {secrets: []string{secret, ""}, tolerance: 0, want: "webhook secret 2 of 2 is empty"},
		"only white space":          {secrets: []string{" \n"}, tolerance: 0, want: "webhook secret 1 of 1 is empty"},
		"with the file's line end":  {secrets: []string{secret + "\n"}, tolerance: 0, want: "webhook secret 1 of 1 begins or ends with white space"},
		"with a space before it":    {secrets: []string{secret, " " + secret}, tolerance: 0, want: "webhook secret 2 of 2 begins or ends with white space"},
		"with a negative tolerance": {secrets: []string{secret}, tolerance: -1, want: "webhook tolerance -1ns: must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := New(c.secrets, c.tolerance)
			require.EqualError(t, err, c.want)
			require.Nil(t, v)
			requireSecrecy(t, err)
		})
	}
}

func TestPrintingAVerifierDoesNotPrintItsSecrets(t *testing.T) {
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

// Changing the list after New would let an empty secret in.
func TestTheListOfSecretsIsNotSharedWithTheCaller(t *testing.T) {
	secrets := []string{secret}
	v := verifier(t, 0, secrets...)
	secrets[0] = ""
	require.NoError(t, v.Verify(Sign(secret, body, noon), body, noon))
	require.ErrorIs(t, v.Verify(Sign("", body, noon), body, noon), ErrMismatch)
}

var signedTime = regexp.MustCompile(`(?:^|,)t=([0-9]+)(?:,|$)`)

func FuzzVerify(f *testing.F) {
	v := verifier(f, 0, secret, "whsec_new")
	good := Sign(secret, body, noon)
	for _, header := range []string{
		"", good, good + ",v0=00", Sign("whsec_new", body, noon), Sign("", body, noon), "t=1768478400,v1=", "t=1768478400,t=1,v1=00",
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
			for _, s := range []string{secret, "whsec_new"} {
				mac := hmac.New(sha256.New, []byte(s))
				mac.Write([]byte(times[0][1] + "." + string(body)))
				signed = signed || strings.Contains(header, fmt.Sprintf("v1=%x", mac.Sum(nil)))
			}
			require.True(t, signed, "%q accepted without a signature", header)
		}
		for _, secretText := range []string{secret, "whsec_new"} {
			if err != nil {
				require.NotContains(t, err.Error(), secretText)
			}
			signed := Sign(secretText, body, noon)
			require.NoError(t, v.Verify(signed, body, noon))
			require.ErrorIs(t, v.Verify(signed, append(body[:len(body):len(body)], 'x'), noon), ErrMismatch)
		}
	})
}
