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

// The keys were computed by an independent program in Python. If one changed, a purchase that is retried after an upgrade would
// be charged again.
func TestContentKeysNeverChange(t *testing.T) {
	minimal := ChargeRequest{MerchantID: "acme", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	minimalRefund := RefundRequest{MerchantID: "acme", PaymentID: "pay_6f1d8c1e-5b0a-5c5e-9d35-0f1a7c9b2e64"}
	for _, tc := range []struct {
		at     time.Time
		window time.Duration

		fullCharge, minimalCharge, fullRefund, minimalRefund string
	}{
		{
			at: noon, window: time.Minute,
			fullCharge: "auto-44a7270c-55e8-559e-a5f5-80543c77e044", minimalCharge: "auto-f6e79429-bc5d-5902-956b-de86ce520152",
			fullRefund: "auto-6c90e22e-7e4f-5bd3-8f74-61433422db24", minimalRefund: "auto-8653b7f7-dba1-5e4f-890e-cd2e8419d588",
		},
		{
			at: noon, window: 10 * time.Minute,
			fullCharge: "auto-2c1f0775-369e-5b6e-98cf-a570b007e9ef", minimalCharge: "auto-abddbd65-fc62-572c-acd1-99054f45d294",
			fullRefund: "auto-a09be6f9-126a-5d32-b30d-fef2fb640f45", minimalRefund: "auto-04750d35-e058-5954-a193-fbb5248f3684",
		},
		{
			at: time.Unix(-1, 0), window: time.Minute,
			fullCharge: "auto-1061a4f4-945d-5ced-9088-2ad3ac5d6d56", minimalCharge: "auto-f1782a33-c6c6-51bb-904d-a1280dff2e1f",
			fullRefund: "auto-daca8376-df81-573f-b40a-2d62bdfde155", minimalRefund: "auto-d981b746-1414-559a-8a9f-08ea72414d93",
		},
	} {
		require.Equal(t, tc.fullCharge, contentKey(t, fullCharge(), tc.at, tc.window))
		require.Equal(t, tc.minimalCharge, contentKey(t, minimal, tc.at, tc.window))
		require.Equal(t, tc.fullRefund, contentKey(t, fullRefund(), tc.at, tc.window))
		require.Equal(t, tc.minimalRefund, contentKey(t, minimalRefund, tc.at, tc.window))
	}
}

func TestEqualContentHasTheSameKey(t *testing.T) {
	const window = time.Minute
	want := contentKey(t, fullCharge(), noon, window)
	other := fullCharge()
	other.IdempotencyKey = "order-2"
	require.Equal(t, want, contentKey(t, other, noon, window), "the idempotency key is not part of the content")
	require.Equal(t, "order-2", other.IdempotencyKey, "the request is not modified")
	for range 20 {
		r := fullCharge()
		r.Metadata = maps.Clone(r.Metadata)
		require.Equal(t, want, contentKey(t, r, noon, window), "the order of metadata does not matter")
	}

	automatic, absent := fullCharge(), fullCharge()
	automatic.Capture, absent.Capture = CaptureAutomatic, ""
	require.Equal(t, contentKey(t, automatic, noon, window), contentKey(t, absent, noon, window))
	none, empty := fullRefund(), fullRefund()
	none.Metadata, empty.Metadata = nil, map[string]string{}
	require.Equal(t, contentKey(t, none, noon, window), contentKey(t, empty, noon, window))
}

func TestDifferentContentHasADifferentKey(t *testing.T) {
	keys := map[string]string{
		contentKey(t, fullCharge(), noon, time.Minute): "charge",
		contentKey(t, fullRefund(), noon, time.Minute): "refund",
	}
	require.Len(t, keys, 2)
	add := func(what, key string) {
		require.NotContains(t, keys, key, what)
		keys[key] = what
	}
	for what, change := range map[string]func(*ChargeRequest){
		"merchant_id":                           func(r *ChargeRequest) { r.MerchantID = "acm" },
		"amount":                                func(r *ChargeRequest) { r.Amount++ },
		"sign":                                  func(r *ChargeRequest) { r.Amount = -r.Amount },
		"currency":                              func(r *ChargeRequest) { r.Currency = "EUR" },
		"payment_method":                        func(r *ChargeRequest) { r.PaymentMethod = "tok_visa2" },
		"capture":                               func(r *ChargeRequest) { r.Capture = CaptureAutomatic },
		"processor":                             func(r *ChargeRequest) { r.Processor = "" },
		"customer_id":                           func(r *ChargeRequest) { r.CustomerID = "C-1" },
		"description":                           func(r *ChargeRequest) { r.Description = "two books " },
		"character moved to the next field":     func(r *ChargeRequest) { r.CustomerID, r.Description = "c-", "1two books" },
		"character moved to the previous field": func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1t", "wo books" },
		"all characters moved to the previous field": func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1two books", "" },
		"length byte in the text":                    func(r *ChargeRequest) { r.CustomerID, r.Description = "c-1\x09two books", "" },
		"no metadata":                                func(r *ChargeRequest) { r.Metadata = nil },
		"less metadata":                              func(r *ChargeRequest) { r.Metadata = map[string]string{"order": "1"} },
		"more metadata":                              func(r *ChargeRequest) { r.Metadata["x"] = "" },
		"metadata value":                             func(r *ChargeRequest) { r.Metadata["order"] = "3" },
		"metadata values swapped":                    func(r *ChargeRequest) { r.Metadata = map[string]string{"order": "2", "basket": "1"} },
		"metadata value moved into its key":          func(r *ChargeRequest) { r.Metadata = map[string]string{"order1": "", "basket": "2"} },
		"metadata pair moved into a value":           func(r *ChargeRequest) { r.Metadata = map[string]string{"basket": "2order1"} },
		"description as metadata": func(r *ChargeRequest) {
			r.Description, r.Metadata = "", map[string]string{"two books": "", "order": "1", "basket": "2"}
		},
	} {
		r := fullCharge()
		change(&r)
		add(what, contentKey(t, r, noon, time.Minute))
	}
	for what, change := range map[string]func(*RefundRequest){
		"merchant_id":                func(r *RefundRequest) { r.MerchantID = "acm" },
		"payment_id":                 func(r *RefundRequest) { r.PaymentID = "pay_00000000-5b0a-5c5e-9d35-0f1a7c9b2e64" },
		"no amount":                  func(r *RefundRequest) { r.Amount = nil },
		"other amount":               func(r *RefundRequest) { r.Amount = new(int64(251)) },
		"no currency":                func(r *RefundRequest) { r.Currency = "" },
		"no reason":                  func(r *RefundRequest) { r.Reason = "" },
		"no metadata of a refund":    func(r *RefundRequest) { r.Metadata = nil },
		"other metadata of a refund": func(r *RefundRequest) { r.Metadata["order"] = "3" },
	} {
		r := fullRefund()
		change(&r)
		add(what, contentKey(t, r, noon, time.Minute))
	}
}

func TestKeyIsTheSameExactlyWithinItsWindow(t *testing.T) {
	elsewhere := time.FixedZone("UTC+05:45", 20700)
	for what, tc := range map[string]struct {
		a, b   time.Time
		window time.Duration
		same   bool
	}{
		"same time": {a: noon, b: noon, window: time.Second, same: true},
		"first and last time of a window": {
			a: noon, b: noon.Add(time.Minute - 1), window: time.Minute, same: true,
		},
		"last time of a window and first of the next": {a: noon.Add(-1), b: noon, window: time.Minute},
		"first times of two windows":                  {a: noon, b: noon.Add(time.Minute), window: time.Minute},
		"two windows of a second":                     {a: noon, b: noon.Add(time.Second), window: time.Second},
		"same window of a second": {
			a: noon, b: noon.Add(999 * time.Millisecond), window: time.Second, same: true,
		},
		"window that does not begin at a full minute": {
			a: time.Unix(7*1000-1, 0), b: time.Unix(7*1000, 0), window: 7 * time.Second,
		},
		"same time in another time zone": {a: noon, b: noon.In(elsewhere), window: time.Minute, same: true},
		"same day of UTC in a zone where it is the next day": {
			a: noon, b: noon.Add(11 * time.Hour).In(elsewhere), window: 24 * time.Hour, same: true,
		},
		"next day":                {a: noon, b: noon.Add(12 * time.Hour), window: 24 * time.Hour},
		"before and after 1970":   {a: time.Unix(-1, 0), b: time.Unix(0, 0), window: time.Minute},
		"same window before 1970": {a: time.Unix(-60, 0), b: time.Unix(-1, 0), window: time.Minute, same: true},
		"two windows before 1970": {a: time.Unix(-61, 0), b: time.Unix(-60, 0), window: time.Minute},
		"longest window": {
			a: noon, b: noon.AddDate(200, 0, 0), window: time.Duration(math.MaxInt64).Truncate(time.Second),
			same: true,
		},
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

// At 60 seconds the window is 300 to 360, at 61 seconds 305 to 366. Both have the number 5.
func TestWindowsOfDifferentLengthsNeverShareAKey(t *testing.T) {
	at := time.Unix(330, 0)
	require.NotEqual(t, contentKey(t, fullCharge(), at, 60*time.Second), contentKey(t, fullCharge(), at, 61*time.Second))
}

func TestRetryWithTheTimeOfThePurchaseHasTheSameKey(t *testing.T) {
	purchase := noon.Add(time.Minute - 1)
	firstCall := contentKey(t, fullCharge(), purchase, time.Minute)
	nextDay := contentKey(t, fullCharge(), purchase.In(time.Local), time.Minute)
	require.Equal(t, firstCall, nextDay)
}

func TestWindowThatIsNotOfWholeSecondsIsRefused(t *testing.T) {
	for _, window := range []time.Duration{
		0, -1, -time.Minute, math.MinInt64, 1, time.Second - 1, 1500 * time.Millisecond, math.MaxInt64,
	} {
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

// The zero time would make a key that is the same forever.
func TestContentKeyWithoutATimeIsRefused(t *testing.T) {
	key, err := ContentKey(fullCharge(), time.Time{}, time.Minute)
	require.EqualError(t, err, "the time is missing: want the time of the purchase")
	require.Empty(t, key)
}

func TestContentKeysAreValidIdempotencyKeys(t *testing.T) {
	// The digits of several of so many keys contain a card number by chance.
	for i := range 20_000 {
		charge := fullCharge()
		charge.IdempotencyKey = contentKey(t, charge, noon.Add(time.Duration(i)*time.Second), time.Second)
		requireContentKey(t, charge.IdempotencyKey)
	}
	charge, refund := fullCharge(), fullRefund()
	charge.IdempotencyKey = contentKey(t, charge, noon, time.Minute)
	refund.IdempotencyKey = contentKey(t, refund, noon, time.Minute)
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
	f.Fuzz(func(
		t *testing.T, merchantID, key string, amount int64, method, customerID, description, name, value string, unix, seconds int64,
	) {
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
			// A shorter text may be in a key by chance.
			if len(content) > 8 {
				require.NotContains(t, got, content)
			}
		}

		repeated := req
		repeated.IdempotencyKey, repeated.Metadata = key+"x", maps.Clone(req.Metadata)
		require.Equal(t, got, contentKey(t, repeated, at, window))
		for what, change := range map[string]func(*ChargeRequest){
			"merchant_id":    func(r *ChargeRequest) { r.MerchantID += "x" },
			"amount":         func(r *ChargeRequest) { r.Amount++ },
			"payment_method": func(r *ChargeRequest) { r.PaymentMethod += "x" },
			"metadata key":   func(r *ChargeRequest) { r.Metadata = map[string]string{name + "x": value} },
			"metadata value": func(r *ChargeRequest) { r.Metadata = map[string]string{name: value + "x"} },
			"field moved":    func(r *ChargeRequest) { r.CustomerID, r.Description = customerID+description+"x", "" },
			"capture":        func(r *ChargeRequest) { r.Capture = CaptureManual },
		} {
			changed := req
			change(&changed)
			require.NotEqual(t, got, contentKey(t, changed, at, window), what)
		}
		if next := at.Add(window); next.Unix() > unix { // unless the time has overflowed
			require.NotEqual(t, got, contentKey(t, req, next, window))
		}
		refund := RefundRequest{MerchantID: merchantID, IdempotencyKey: key, Amount: &amount, Currency: "USD", Metadata: req.Metadata}
		require.NotEqual(t, got, contentKey(t, refund, at, window))
	})
}
