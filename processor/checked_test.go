package processor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

// unprintable are texts that must not be stored.
var unprintable = []string{"\x00", "\x00ch_1", "ch_1\x00", "ch_1\n", "\x1b[2Jch_1", "ch_1\x7f", "ch_é", "ch_\u200b1", "\xff", strings.Repeat("c", 256)}

func TestResultWithAnUnprintableTextIsRefused(t *testing.T) {
	valid := Result{ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: "USD", Reference: "order 1", MerchantID: "acme",
		CapturedAmount: 1000, Decline: &payment.Decline{Code: "51", NetworkCode: "51 no", AdviceCode: "03", Message: "nö"}}
	got, err := valid.Checked()
	require.NoError(t, err)
	require.Equal(t, valid, got)
	for name, field := range map[string]func(*Result) *string{
		"id":           func(r *Result) *string { return &r.ID },
		"currency":     func(r *Result) *string { return &r.Currency },
		"reference":    func(r *Result) *string { return &r.Reference },
		"merchant id":  func(r *Result) *string { return &r.MerchantID },
		"code":         func(r *Result) *string { return &r.Decline.Code },
		"network code": func(r *Result) *string { return &r.Decline.NetworkCode },
		"advice code":  func(r *Result) *string { return &r.Decline.AdviceCode },
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range unprintable {
				bad, decline := valid, *valid.Decline
				bad.Decline = &decline
				*field(&bad) = text
				got, err := bad.Checked()
				require.ErrorIs(t, err, errUnprintable, "%q", text)
				require.Zero(t, got)
				got, err = bad.CheckedListed()
				if name == "reference" { // another system's payment
					require.NoError(t, err)
					require.Equal(t, Result{ID: "ch_1", Status: payment.Declined, Amount: 1250, Currency: "USD", CapturedAmount: 1000,
						Decline: valid.Decline}, got)
					continue
				}
				require.ErrorIs(t, err, errUnprintable, "%q", text)
			}
		})
	}
}

func TestResultWithoutAnIDOrACurrencyIsRefused(t *testing.T) {
	for _, r := range []Result{{Currency: "USD"}, {ID: "ch_1"}, {ID: "ch 1", Currency: "USD"}, {ID: "ch_1", Currency: "US D"}} {
		_, err := r.Checked()
		require.ErrorIs(t, err, errUnprintable)
	}
	foreign := Result{ID: strings.Repeat("c", 255), Currency: "USD"}
	withMerchant := foreign
	withMerchant.MerchantID = "\x00"
	got, err := withMerchant.CheckedListed()
	require.NoError(t, err)
	require.Equal(t, foreign, got)
}

func TestRecordOfAListIsReportedEvenIfItCannotBeRead(t *testing.T) {
	created := time.Date(2026, 1, 15, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	read := Record{
		Result:    Result{ID: "re_1", Status: payment.Succeeded, Amount: 250, Currency: "USD", Reference: "order 1", MerchantID: "acme"},
		CreatedAt: created, ProcessorPaymentID: "ch_1", OwnID: payment.RefundID("acme", "refund-1"),
	}
	want := read
	want.CreatedAt = created.UTC()
	require.Equal(t, want, read.Listed(nil))

	unreadable := want
	unreadable.Result, unreadable.Unreadable = Result{ID: "re_1", Reference: "order 1"}, "the record has no known status"
	require.Equal(t, unreadable, read.Listed(errors.New("the record has no known status")))
	unreadable.Unreadable = errUnprintable.Error()
	for name, change := range map[string]func(*Record){
		"currency":    func(r *Record) { r.Currency = "US\x00" },
		"merchant id": func(r *Record) { r.MerchantID = "\x00" },
	} {
		bad := read
		change(&bad)
		require.Equal(t, unreadable, bad.Listed(nil), name)
	}
}

func TestTextsOfAListedRecordThatCannotBeStoredAreRemoved(t *testing.T) {
	for _, text := range unprintable {
		got := Record{Result: Result{ID: text, Reference: text}, ProcessorPaymentID: text, OwnID: text}.Listed(errors.New(text))
		require.Regexp(t, codes, got.Unreadable)
		require.NotEmpty(t, got.Unreadable)
		require.Equal(t, Record{Unreadable: got.Unreadable}, got)
	}
	for _, created := range []time.Time{{}, time.Unix(-1, 0), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		got := Record{Result: Result{ID: "ch_1", Currency: "USD"}, CreatedAt: created, OwnID: "pay_1"}.Listed(nil)
		require.Equal(t, Record{Result: Result{ID: "ch_1", Currency: "USD"}}, got)
	}
}

func TestReferenceOfAnotherSystemThatLooksLikeACardNumberIsRemoved(t *testing.T) {
	for _, err := range []error{nil, errors.New("no amount")} {
		got := Record{Result: Result{ID: "ch_1", Currency: "USD", Reference: "card 4111 1111 1111 1111", MerchantID: "acme"}}.Listed(err)
		require.Empty(t, got.Reference)
		require.Empty(t, got.MerchantID)
	}
	// The digits of a key contain a card number by chance.
	own := Record{Result: Result{ID: "ch_1", Currency: "USD", Reference: "41111111-1111-5111-8111-111111111111"}}
	require.Equal(t, own, own.Listed(nil))
}

func TestOnlyADeclineCanStillSucceed(t *testing.T) {
	for status := range payment.PaymentTransitions {
		r := Result{ID: "ch_1", Currency: "USD", Status: status, CanStillSucceed: true}
		for _, check := range []func() (Result, error){r.Checked, r.CheckedListed} {
			got, err := check()
			if status == payment.Declined {
				require.NoError(t, err)
				require.Equal(t, r, got)
				continue
			}
			require.ErrorIs(t, err, errCanStillSucceed, status)
			require.Zero(t, got)
		}
	}
}

func TestClippedTextsHaveNoControlCharactersAndCodesArePrintable(t *testing.T) {
	require.Equal(t, " a b c é", Clip("\x00a\nb\x7fc é"))
	require.Equal(t, " a?b c?", ClipCode("\x00a\u200bb cé"))
	require.Equal(t, "ok [2K paid", Clip("ok\x1b[2K\rpaid\u202e\ufeff"))
	require.Equal(t, Withheld, Clip("the key is s\u200bk_live_1234567890"), "invisible characters do not hide a secret")
	require.Equal(t, Withheld, ClipCode("s\u200bk_live_1234567890"))
	require.Equal(t, "insufficient_funds", ClipCode("insufficient_funds"))
	require.Equal(t, Withheld, ClipCode("4111 1111 1111 1111"))
	require.Regexp(t, codes, ClipCode(strings.Repeat("語", 1000)))
}

func TestMessageOfADeclineIsClipped(t *testing.T) {
	declined := Result{ID: "ch_1", Currency: "USD", Status: payment.Declined, Decline: &payment.Decline{Code: "stolen_card", Message: "no\x1b[2K\rpaid"}}
	got, err := declined.Checked()
	require.NoError(t, err)
	require.Equal(t, "no [2K paid", got.Decline.Message)
	require.Equal(t, "no\x1b[2K\rpaid", declined.Decline.Message, "the caller's decline stays as it is")
}
