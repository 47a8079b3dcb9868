package payment

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func contentKey[R request](t *testing.T, req R, at time.Time, window time.Duration) string {
	t.Helper()
	key, err := ContentKey(req, at, window)
	require.NoError(t, err)
	return key
}

// Computed by a program of its own, in Python. A change of any of them would charge a purchase that is tried again
// across an upgrade a second time.
func TestContentKeysNeverChange(t *testing.T) {
	least := ChargeRequest{MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	all := RefundRequest{MerchantID: "acme", PaymentID: "pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64"}
	for _, tc := range []struct {
		at     time.Time
		window time.Duration

		fullCharge, leastCharge, fullRefund, fullAmount string
	}{
		{
			noon, time.Minute,
			"auto-44a7270c-55e8-559e-a5f5-80543c77e044", "auto-f6e79429-bc5d-5902-956b-de86ce520152",
			"auto-6c90e22e-7e4f-5bd3-8f74-61433422db24", "auto-8653b7f7-dba1-5e4f-890e-cd2e8419d588",
		},
		{
			noon, 10 * time.Minute,
			"auto-2c1f0775-369e-5b6e-98cf-a570b007e9ef", "auto-abddbd65-fc62-572c-acd1-99054f45d294",
			"auto-a09be6f9-126a-5d32-b30d-fef2fb640f45", "auto-04750d35-e058-5954-a193-fbb5248f3684",
		},
		{
			time.Unix(-1, 0), time.Minute,
			"auto-1061a4f4-945d-5ced-9088-2ad3ac5d6d56", "auto-f1782a33-c6c6-51bb-904d-a1280dff2e1f",
			"auto-daca8376-df81-573f-b40a-2d62bdfde155", "auto-d981b746-1414-559a-8a9f-08ea72414d93",
		},
	} {
		require.Equal(t, tc.fullCharge, contentKey(t, fullCharge(), tc.at, tc.window))
		require.Equal(t, tc.leastCharge, contentKey(t, least, tc.at, tc.window))
		require.Equal(t, tc.fullRefund, contentKey(t, fullRefund(), tc.at, tc.window))
		require.Equal(t, tc.fullAmount, contentKey(t, all, tc.at, tc.window))
	}
}

func TestTheSameContentHasOneKey(t *testing.T) {
	const window = time.Minute
	want := contentKey(t, fullCharge(), noon, window)
	other := fullCharge()
	other.IdempotencyKey = "order-2"
	require.Equal(t, want, contentKey(t, other, noon, window), "the key is no content")
	require.Equal(t, "order-2", other.IdempotencyKey, "the request itself is left alone")
	for range 20 {
		r := fullCharge()
		r.Metadata = maps.Clone(r.Metadata)
		require.Equal(t, want, contentKey(t, r, noon, window), "metadata has no order")
	}

	automatic, absent := fullCharge(), fullCharge()
	automatic.Capture, absent.Capture = CaptureAutomatic, ""
	require.Equal(t, contentKey(t, automatic, noon, window), contentKey(t, absent, noon, window))
	none, empty := fullRefund(), fullRefund()
	none.Metadata, empty.Metadata = nil, map[string]string{}
	require.Equal(t, contentKey(t, none, noon, window), contentKey(t, empty, noon, window))
}

func TestAnyOtherContentHasAnotherKey(t *testing.T) {
	keys := map[string]string{contentKey(t, fullCharge(), noon, time.Minute): "charge", contentKey(t, fullRefund(), noon, time.Minute): "refund"}
	require.Len(t, keys, 2)
	add := func(what, key string) {
		require.NotContains(t, keys, key, what)
		keys[key] = what
	}
	for what, change := range map[string]func(*ChargeRequest){
		"merchant_id":            func(r *ChargeRequest) { r.MerchantID = "acm" },
		"amount":                 func(r *ChargeRequest) { r.Amount++ },
		"sign":                   func(r *ChargeRequest) { r.Amount = -r.Amount },
		"currency":               func(r *ChargeRequest) { r.Currency = "EUR" },
		"payment_method":         func(r *ChargeRequest) { r.PaymentMethod = "tok_visa2" },
		"capture":                func(r *ChargeRequest) { r.Capture = CaptureAutomatic },
		"processor":              func(r *ChargeRequest) { r.Processor = "" },
		"customer_id":            func(r *ChargeRequest) { r.CustomerID = "C-1" },
		"description":            func(r *ChargeRequest) { r.Description = "two books " },
		"a character moved on":   func(r *ChargeRequest) { r.CustomerID, r.Description = "c-", "1two books" },
		"a character moved back": func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1t", "wo books" },
		"all moved back":         func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1two books", "" },
		"a length in the text":   func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1\x09two books", "" },
		"no metadata":            func(r *ChargeRequest) { r.Metadata = nil },
		"less metadata":          func(r *ChargeRequest) { r.Metadata = map[string]string{"order": "1"} },
		"more metadata":          func(r *ChargeRequest) { r.Metadata["x"] = "" },
		"metadata value":         func(r *ChargeRequest) { r.Metadata["order"] = "3" },
		"metadata swapped":       func(r *ChargeRequest) { r.Metadata = map[string]string{"order": "2", "basket": "1"} },
		"key and value moved":    func(r *ChargeRequest) { r.Metadata = map[string]string{"order1": "", "basket": "2"} },
		"pairs moved":            func(r *ChargeRequest) { r.Metadata = map[string]string{"basket": "2order1"} },
		"description as metadata": func(r *ChargeRequest) {
			r.Description, r.Metadata = "", map[string]string{"two books": "", "order": "1", "basket": "2"}
		},
	} {
		r := fullCharge()
		change(&r)
		add(what, contentKey(t, r, noon, time.Minute))
	}
	for what, change := range map[string]func(*RefundRequest){
		"merchant_id":       func(r *RefundRequest) { r.MerchantID = "acm" },
		"payment_id":        func(r *RefundRequest) { r.PaymentID = "pay_00000000-5b0a-5c5e-9d35-0f1a7c9b2e64" },
		"all that is left":  func(r *RefundRequest) { r.Amount = nil },
		"other amount":      func(r *RefundRequest) { r.Amount = new(int64(251)) },
		"no currency":       func(r *RefundRequest) { r.Currency = "" },
		"no reason":         func(r *RefundRequest) { r.Reason = "" },
		"no refund's pairs": func(r *RefundRequest) { r.Metadata = nil },
		"other pairs":       func(r *RefundRequest) { r.Metadata["order"] = "3" },
	} {
		r := fullRefund()
		change(&r)
		add(what, contentKey(t, r, noon, time.Minute))
	}
}

func TestAKeyHoldsFromOneEdgeOfItsWindowToTheNext(t *testing.T) {
	elsewhere := time.FixedZone("UTC+05:45", 20700)
	for what, tc := range map[string]struct {
		a, b   time.Time
		window time.Duration
		same   bool
	}{
		"the same moment":                {noon, noon, time.Second, true},
		"the first and last of a window": {noon, noon.Add(time.Minute - 1), time.Minute, true},
		"just over the edge":             {noon.Add(-1), noon, time.Minute, false},
		"the next edge":                  {noon, noon.Add(time.Minute), time.Minute, false},
		"a second each":                  {noon, noon.Add(time.Second), time.Second, false},
		"within a second":                {noon, noon.Add(999 * time.Millisecond), time.Second, true},
		"an edge that is no full minute": {time.Unix(7*1000-1, 0), time.Unix(7*1000, 0), 7 * time.Second, false},
		"another time zone":              {noon, noon.In(elsewhere), time.Minute, true},
		"a day of UTC, not of the zone":  {noon, noon.Add(11 * time.Hour).In(elsewhere), 24 * time.Hour, true},
		"a day later":                    {noon, noon.Add(12 * time.Hour), 24 * time.Hour, false},
		"both sides of 1970":             {time.Unix(-1, 0), time.Unix(0, 0), time.Minute, false},
		"just before 1970":               {time.Unix(-60, 0), time.Unix(-1, 0), time.Minute, true},
		"an edge before 1970":            {time.Unix(-61, 0), time.Unix(-60, 0), time.Minute, false},
		"the longest window":             {noon, noon.AddDate(200, 0, 0), time.Duration(math.MaxInt64).Truncate(time.Second), true},
	} {
		t.Run(what, func(t *testing.T) {
			a, b := contentKey(t, fullCharge(), tc.a, tc.window), contentKey(t, fullCharge(), tc.b, tc.window)
			if tc.same {
				require.Equal(t, a, b)
			} else {
				require.NotEqual(t, a, b)
			}
		})
	}
}

// 300 to 360 and 305 to 366 are both the sixth of their kind.
func TestWindowsOfDifferentLengthsNeverShareAKey(t *testing.T) {
	at := time.Unix(330, 0)
	require.NotEqual(t, contentKey(t, fullCharge(), at, 60*time.Second), contentKey(t, fullCharge(), at, 61*time.Second))
}

// The time of the purchase, not of the try: no edge can come between.
func TestARetryWithTheTimeOfThePurchaseKeepsItsKey(t *testing.T) {
	purchase := noon.Add(time.Minute - 1)
	firstTry := contentKey(t, fullCharge(), purchase, time.Minute)
	nextDay := contentKey(t, fullCharge(), purchase.In(time.Local), time.Minute)
	require.Equal(t, firstTry, nextDay)
}

func TestAWindowHasToBeSaidAndInWholeSeconds(t *testing.T) {
	for _, window := range []time.Duration{0, -1, -time.Minute, math.MinInt64, 1, time.Second - 1, 1500 * time.Millisecond, math.MaxInt64} {
		for _, derive := range []func() (string, error){
			func() (string, error) { return ContentKey(fullCharge(), noon, window) },
			func() (string, error) { return ContentKey(fullRefund(), noon, window) },
		} {
			key, err := derive()
			require.EqualError(t, err, "window "+window.String()+": want whole seconds, at least 1s")
			require.Empty(t, key)
		}
	}
}

// Left out, it would make a key for ever.
func TestAContentKeyWithoutATimeIsRefused(t *testing.T) {
	key, err := ContentKey(fullCharge(), time.Time{}, time.Minute)
	require.EqualError(t, err, "the time is missing: want that of the purchase")
	require.Empty(t, key)
}

func TestContentKeysAreValidIdempotencyKeys(t *testing.T) {
	// Enough for several of them to have a card number's digits by chance.
	for i := range 20_000 {
		charge := fullCharge()
		charge.IdempotencyKey = contentKey(t, charge, noon.Add(time.Duration(i)*time.Second), time.Second)
		requireContentKey(t, charge.IdempotencyKey)
	}
	charge, refund := fullCharge(), fullRefund()
	charge.IdempotencyKey, refund.IdempotencyKey = contentKey(t, charge, noon, time.Minute), contentKey(t, refund, noon, time.Minute)
	require.NoError(t, charge.Validate())
	require.NoError(t, refund.Validate())
}

func requireContentKey(t *testing.T, key string) {
	t.Helper()
	require.False(t, ContainsCardNumber(key), key)
	require.False(t, LooksLikeCardNumber(key), key)
	id, ok := strings.CutPrefix(key, "auto-")
	require.True(t, ok, key)
	u, err := uuid.Parse(id)
	require.NoError(t, err)
	require.EqualValues(t, 5, u.Version())
	require.Len(t, key, 41)
}

func FuzzContentKey(f *testing.F) {
	f.Add("acme", "order-1", int64(1250), "tok_visa", "c-1", "two books", "order", "1", int64(1768478400), int64(60))
	f.Add("", "", int64(-1), "4111111111111111", "", "\xff", "", "", int64(-1), int64(1))
	f.Add("a", "/", int64(0), "é", "\x03abc", "", "\x00", "🙂", int64(math.MaxInt64), int64(math.MaxInt32))
	f.Fuzz(func(t *testing.T, merchantID, key string, amount int64, method, customerID, description, name, value string, unix, seconds int64) {
		at, window := time.Unix(unix, 0), time.Duration(seconds)*time.Second
		req := ChargeRequest{
			MerchantID: merchantID, IdempotencyKey: key, Amount: amount, Currency: "USD", PaymentMethod: method,
			CustomerID: customerID, Description: description, Metadata: map[string]string{name: value},
		}
		got, err := ContentKey(req, at, window)
		if window < time.Second || window%time.Second != 0 || at.IsZero() {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		requireContentKey(t, got)
		valid := fullCharge()
		valid.IdempotencyKey = got
		require.NoError(t, valid.Validate())
		for _, content := range []string{merchantID, key, method, customerID, description, name, value} {
			// Shorter ones are in every tenth key by chance.
			if len(content) > 8 {
				require.NotContains(t, got, content)
			}
		}

		again := req
		again.IdempotencyKey, again.Metadata = key+"x", maps.Clone(req.Metadata)
		require.Equal(t, got, contentKey(t, again, at, window))
		for what, change := range map[string]func(*ChargeRequest){
			"merchant_id":    func(r *ChargeRequest) { r.MerchantID += "x" },
			"amount":         func(r *ChargeRequest) { r.Amount++ },
			"payment_method": func(r *ChargeRequest) { r.PaymentMethod += "x" },
			"metadata key":   func(r *ChargeRequest) { r.Metadata = map[string]string{name + "x": value} },
			"metadata value": func(r *ChargeRequest) { r.Metadata = map[string]string{name: value + "x"} },
			"all moved":      func(r *ChargeRequest) { r.CustomerID, r.Description = customerID+description+"x", "" },
			"capture":        func(r *ChargeRequest) { r.Capture = CaptureManual },
		} {
			changed := req
			change(&changed)
			require.NotEqual(t, got, contentKey(t, changed, at, window), what)
		}
		if next := at.Add(window); next.Unix() > unix { // or the time has run over
			require.NotEqual(t, got, contentKey(t, req, next, window))
		}
		refund := RefundRequest{MerchantID: merchantID, IdempotencyKey: key, Amount: &amount, Currency: "USD", Metadata: req.Metadata}
		require.NotEqual(t, got, contentKey(t, refund, at, window))
	})
}
