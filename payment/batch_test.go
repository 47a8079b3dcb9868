package payment

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func validChunk() BatchChunk {
	charge := ChargeRequest{MerchantID: "acme", IdempotencyKey: "k-1", Amount: 1250, Currency: "USD", PaymentMethod: "tok_visa"}
	refund := RefundRequest{MerchantID: "acme", IdempotencyKey: "r-1", PaymentID: PaymentID("acme", "k-0")}
	return BatchChunk{
		Name: "june", ContentHash: strings.Repeat("0a", 32), Lines: 2, Chunk: []BatchLine{{Line: 1, Charge: &charge}, {Line: 3, Refund: &refund}},
	}
}

func TestInvalidChunksAreRefused(t *testing.T) {
	require.NoError(t, validChunk().Validate())
	for name, tt := range map[string]struct {
		change func(*BatchChunk)
		want   string
	}{
		"no name":                {change: func(c *BatchChunk) { c.Name = "" }, want: "name: "},
		"a name with a slash":    {change: func(c *BatchChunk) { c.Name = "a/b" }, want: `name: "a/b": want 1 to 64`},
		"a card as the name":     {change: func(c *BatchChunk) { c.Name = "4242424242424242" }, want: "name: (looks like a card number)"},
		"no hash":                {change: func(c *BatchChunk) { c.ContentHash = "" }, want: "content_hash: "},
		"an upper-case hash":     {change: func(c *BatchChunk) { c.ContentHash = strings.Repeat("0A", 32) }, want: "content_hash: "},
		"no lines":               {change: func(c *BatchChunk) { c.Lines = 0 }, want: "lines: 0: want 1 to"},
		"too many in flight":     {change: func(c *BatchChunk) { c.InFlight = 1001 }, want: "in_flight: 1001: want 1 to 1000"},
		"a rate that is no rate": {change: func(c *BatchChunk) { c.PerSecond = math.NaN() }, want: "per_second: "},
		"a negative rate":        {change: func(c *BatchChunk) { c.PerSecond = -1 }, want: "per_second: "},
		"too long":               {change: func(c *BatchChunk) { c.Chunk = make([]BatchLine, 501) }, want: "chunk: has 501 lines: want at most 500"},
		"lines out of order":     {change: func(c *BatchChunk) { c.Chunk[1].Line = 1 }, want: "lines.1: comes after line 1"},
		"a line without number":  {change: func(c *BatchChunk) { c.Chunk[0].Line = 0 }, want: "lines.0: comes after line 0"},
		"neither of both":        {change: func(c *BatchChunk) { c.Chunk[0].Charge = nil }, want: "lines.1.operation: want either a charge or a refund"},
		"both":                   {change: func(c *BatchChunk) { c.Chunk[0].Refund = c.Chunk[1].Refund }, want: "lines.1.operation: "},
		"an invalid charge":      {change: func(c *BatchChunk) { c.Chunk[0].Charge.Amount = 0 }, want: "lines.1.amount: 0: must be above 0"},
		"an invalid refund":      {change: func(c *BatchChunk) { c.Chunk[1].Refund.PaymentID = "x" }, want: "lines.3.payment_id: "},
		"a card number":          {change: func(c *BatchChunk) { c.Chunk[0].Charge.PaymentMethod = "4242424242424242" }, want: "lines.1.payment_method: looks like"},
	} {
		t.Run(name, func(t *testing.T) {
			c := validChunk()
			tt.change(&c)
			require.ErrorContains(t, c.Validate(), tt.want)
			require.NotContains(t, c.Validate().Error(), "4242424242424242")
		})
	}
}

func TestInvalidChangesOfABatchAreRefused(t *testing.T) {
	rate, negative, slow := 2.5, -1.0, 0.009
	require.NoError(t, BatchChange{Name: "june", Action: BatchPause, By: "jane", Reason: "incident"}.Validate())
	require.NoError(t, BatchChange{Name: "june", Action: BatchRate, PerSecond: &rate, By: "jane", Reason: "incident"}.Validate())
	require.NoError(t, BatchChange{Name: "june", Action: BatchRate, InFlight: 5, By: "jane", Reason: "incident"}.Validate())
	for name, tt := range map[string]struct {
		change BatchChange
		want   string
	}{
		"no action":         {change: BatchChange{Name: "june", By: "jane", Reason: "x"}, want: "action: "},
		"no operator":       {change: BatchChange{Name: "june", Action: BatchPause, Reason: "x"}, want: "by: "},
		"no reason":         {change: BatchChange{Name: "june", Action: BatchPause, By: "jane"}, want: "reason: "},
		"a rate of a pause": {change: BatchChange{Name: "june", Action: BatchPause, PerSecond: &rate, By: "jane", Reason: "x"}, want: "with action rate only"},
		"rate without one":  {change: BatchChange{Name: "june", Action: BatchRate, By: "jane", Reason: "x"}, want: "with action rate only"},
		"a negative rate":   {change: BatchChange{Name: "june", Action: BatchRate, PerSecond: &negative, By: "jane", Reason: "x"}, want: "per_second: want 0, or 0.01 to"},
		"too low a rate":    {change: BatchChange{Name: "june", Action: BatchRate, PerSecond: &slow, By: "jane", Reason: "x"}, want: "per_second: want 0, or 0.01 to"},
		"too many at once":  {change: BatchChange{Name: "june", Action: BatchRate, InFlight: 2000, By: "jane", Reason: "x"}, want: "in_flight: 2000"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, tt.change.Validate(), tt.want) })
	}
	require.ErrorContains(t, BatchLineFilter{Name: "june", Status: "done"}.Validate(), "unknown status")
	require.NoError(t, BatchLineFilter{Name: "june", Status: LineRefused}.Validate())
}

func TestJSONOfABatchNeverChanges(t *testing.T) {
	at := time.Date(2026, 1, 15, 12, 30, 45, 0, time.UTC)
	requireJSON(t, `{"name":"june","content_hash":"`+strings.Repeat("0a", 32)+`","lines":2,"chunk":[
		{"line":1,"charge":{"merchant_id":"acme","idempotency_key":"k-1","amount":1250,"currency":"USD","payment_method":"tok_visa"}},
		{"line":3,"refund":{"merchant_id":"acme","idempotency_key":"r-1","payment_id":"`+PaymentID("acme", "k-0")+`"}}]}`, validChunk())
	requireJSON(t, `{"name":"june"}`, BatchRequest{Name: "june"})
	requireJSON(t, `{"name":"june","content_hash":"","state":"paused","per_second":2.5,"in_flight":50,"by":"jane","reason":"incident",
		"at":"2026-01-15T12:30:45Z","revision":1,"lines":10,"received":10,"last_line":12,"waiting":4,"open":0,"succeeded":1,"authorized":1,
		"declined":1,"failed":1,"conflicted":1,"refused":1,"created_by":"shop","created_at":"2026-01-15T12:30:45Z",
		"started_at":"2026-01-15T12:30:45Z"}`,
		Batch{
			Name: "june", State: BatchPaused, PerSecond: 2.5, InFlight: 50, By: "jane", Reason: "incident", At: at, Revision: 1, Lines: 10, Received: 10,
			LastLine: 12, Waiting: 4, Succeeded: 1, Authorized: 1, Declined: 1, Failed: 1, Conflicted: 1, Refused: 1, CreatedBy: "shop", CreatedAt: at,
			StartedAt: at,
		})
}

func TestLineIsThatOfItsPaymentOrRefund(t *testing.T) {
	c := validChunk().Chunk
	require.Equal(t, OperationCharge, c[0].Operation())
	require.Equal(t, PaymentID("acme", "k-1"), c[0].ID())
	require.Equal(t, c[0].Charge.Fingerprint(), c[0].Fingerprint())
	require.Equal(t, OperationRefund, c[1].Operation())
	require.Equal(t, RefundID("acme", "r-1"), c[1].ID())
	require.Equal(t, c[1].Refund.Fingerprint(), c[1].Fingerprint())
	for _, status := range []Status{Succeeded, Authorized, Declined, Failed, Voided, Expired, Conflicted} {
		require.True(t, status.EndsLine(), status)
	}
	for _, status := range []Status{"", Processing, Pending, RequiresAction, Unknown, NeedsReconciliation, LineWaiting, LineOpen} {
		require.False(t, status.EndsLine(), status)
	}
}
