package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin"
	"github.com/florinpay/florin/internal/caller"
	"github.com/florinpay/florin/payment"
	"github.com/florinpay/florin/sandbox/environment"
)

// batchOf returns a batch with these lines, in one chunk.
func batchOf(name string, lines ...payment.BatchLine) payment.BatchChunk {
	for i := range lines {
		lines[i].Line = int64(i + 1)
	}
	return payment.BatchChunk{Name: name, ContentHash: strings.Repeat("0a", 32), Lines: int64(len(lines)), Chunk: lines, Complete: true}
}

func lineOf(req payment.ChargeRequest) payment.BatchLine { return payment.BatchLine{Charge: &req} }

func TestBatchEndsWithWhatItsLinesWouldEndAlone(t *testing.T) {
	env := start(t, environment.Options{})
	paid := succeed(t, env, charge("paid-before", "tok_visa"))
	elsewhere := charge("elsewhere", "tok_visa")
	elsewhere.Processor = "no-such-processor"
	other := charge("paid-before", "tok_visa")
	other.Amount++
	refund := payment.RefundRequest{MerchantID: "acme", IdempotencyKey: "refund", PaymentID: paid.PaymentID}
	tooMuch, amount := refund, int64(999_999)
	tooMuch.IdempotencyKey, tooMuch.Amount = "too-much", &amount
	hold := charge("hold", "tok_visa")
	hold.Capture = payment.CaptureManual
	chunk := batchOf("june",
		lineOf(charge("visa", "tok_visa")),
		lineOf(charge("declined", "tok_insufficient_funds")),
		lineOf(charge("lost-response", "tok_timeout_after_charge")),
		lineOf(charge("paid-before", "tok_visa")), // it is not charged again
		payment.BatchLine{Refund: &tooMuch},
		payment.BatchLine{Refund: &refund},
		lineOf(hold),
		lineOf(elsewhere),
	)
	_, err := env.Florin.AddBatchLines(t.Context(), chunk)
	require.NoError(t, err)
	finished := untilFinished(t, env.Florin, "june")
	require.Equal(t, payment.BatchCompleted, finished.State)
	page, err := env.Florin.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june"})
	require.NoError(t, err)
	want := []payment.Status{
		payment.Succeeded, payment.Declined, payment.Succeeded, payment.Succeeded, payment.LineRefused, payment.Succeeded, payment.Authorized, payment.LineRefused,
	}
	var got []payment.Status
	for _, l := range page.Lines {
		got = append(got, l.Status)
	}
	require.Equal(t, want, got)
	require.NotEmpty(t, page.Lines[4].Refusal)
	require.Contains(t, page.Lines[7].Refusal, "no-such-processor")

	again, err := env.Florin.AddBatchLines(t.Context(), chunk)
	require.NoError(t, err)
	require.Equal(t, finished, again, "the same file again does nothing")

	// Another batch with the same key, and another request.
	_, err = env.Florin.AddBatchLines(t.Context(), batchOf("july", lineOf(other)))
	require.NoError(t, err)
	require.Equal(t, int64(1), untilFinished(t, env.Florin, "july").Refused)

	var charges []payment.Charge
	for _, key := range []string{"visa", "declined", "lost-response", "paid-before", "hold"} {
		c, err := env.Florin.Get(t.Context(), "acme", key)
		require.NoError(t, err)
		charges = append(charges, c)
	}
	refunded, err := env.Florin.GetRefund(t.Context(), "acme", "refund")
	require.NoError(t, err)
	requireLedgerMatches(t, env, charges, []payment.Refund{refunded})
}

func TestBatchIsPausedResumedAndCanceledWhileItRuns(t *testing.T) {
	env := start(t, environment.Options{})
	var lines []payment.BatchLine
	for i := range 150 {
		lines = append(lines, lineOf(charge("line-"+strings.Repeat("x", i+1), "tok_visa")))
	}
	chunk := batchOf("june", lines...)
	chunk.PerSecond = 20
	_, err := env.Florin.AddBatchLines(t.Context(), chunk)
	require.NoError(t, err)
	control := func(action payment.BatchAction) payment.Batch {
		t.Helper()
		b, err := env.Florin.ControlBatch(t.Context(), payment.BatchChange{Name: "june", Action: action, By: "jane", Reason: "a test"})
		require.NoError(t, err)
		return b
	}
	until := func(reached func(payment.Batch) bool) (b payment.Batch) {
		t.Helper()
		require.Eventually(t, func() bool {
			var err error
			b, err = env.Florin.Batch(t.Context(), "june")
			return err == nil && reached(b)
		}, time.Minute, 50*time.Millisecond)
		return b
	}
	until(func(b payment.Batch) bool { return b.Succeeded >= 10 })
	paused := control(payment.BatchPause)
	still := until(func(b payment.Batch) bool { return b.Open == 0 })
	require.Equal(t, paused.Waiting, still.Waiting, "nothing was started after the pause")
	control(payment.BatchResume)
	resumed := until(func(b payment.Batch) bool { return b.Succeeded > still.Succeeded+10 })
	require.Equal(t, payment.BatchRunning, resumed.State)
	canceled := control(payment.BatchCancel)
	end := untilFinished(t, env.Florin, "june")
	require.Equal(t, payment.BatchCanceled, end.State)
	require.Equal(t, canceled.Waiting, end.Waiting)
	require.NoError(t, env.Temporal.GetWorkflow(t.Context(), payment.BatchWorkflowID("june"), "").Get(t.Context(), nil))
	ledger, err := env.Simulator.Ledger(t.Context())
	require.NoError(t, err)
	require.Len(t, ledger.Payments, int(end.Succeeded))
}

func TestLinesOfABatchNeedNoProofButTheBatchDoes(t *testing.T) {
	env := startAuthorizing(t)
	shop := tokenFor(t, "shop", time.Hour, []string{"acme"}, caller.Service)
	stranger := tokenFor(t, "stranger", time.Hour, []string{"other"}, caller.Service, caller.Operator)
	asShop := florin.NewClient(dialAs(t, env, &shop), florin.Options{})
	asStranger := florin.NewClient(dialAs(t, env, &stranger), florin.Options{})
	asNobody := florin.NewClient(dialAs(t, env, nil), florin.Options{})
	chunk := batchOf("june", lineOf(charge("line-1", "tok_visa")), lineOf(charge("line-2", "tok_insufficient_funds")))
	for _, c := range []*florin.Client{asNobody, asStranger} {
		_, err := c.AddBatchLines(t.Context(), chunk)
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
	}
	_, err := asShop.AddBatchLines(t.Context(), chunk)
	require.NoError(t, err)
	end := untilFinished(t, asShop, "june")
	require.Equal(t, int64(1), end.Succeeded)
	require.Equal(t, int64(1), end.Declined)
	for _, c := range []*florin.Client{asNobody, asStranger} {
		_, err := c.Batch(t.Context(), "june")
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
		_, err = c.BatchLines(t.Context(), payment.BatchLineFilter{Name: "june"})
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
		_, err = c.ControlBatch(t.Context(), payment.BatchChange{Name: "june", Action: payment.BatchCancel, By: "jane", Reason: "a test"})
		require.ErrorIs(t, err, florin.ErrNotAuthorized)
	}
	_, err = asNobody.Charge(t.Context(), charge("line-3", "tok_visa"))
	require.ErrorIs(t, err, florin.ErrNotAuthorized, "it is in no batch")
}

// untilFinished reads a batch until it has finished.
func untilFinished(t *testing.T, c *florin.Client, name string) (b payment.Batch) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		b, err = c.Batch(t.Context(), name)
		return err == nil && b.Finished()
	}, 2*time.Minute, 50*time.Millisecond)
	return b
}
