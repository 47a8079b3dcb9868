package florin

import (
	"context"
	"fmt"

	"github.com/florinpay/florin/payment"
)

// Divergences returns a page of divergences, the latest first: contradictions between final payments or refunds and their
// processors. [ErrInvalidRequest] means an invalid filter.
func (c *Client) Divergences(ctx context.Context, f payment.DivergenceFilter) (payment.DivergencePage, error) {
	if err := f.Validate(); err != nil {
		return payment.DivergencePage{}, err
	}
	page, err := read[payment.DivergencePage](ctx, c, f.MerchantID, payment.ActivityListDivergences, f)
	return page, translate(ctx, err, payment.ActivityListDivergences)
}

// AcknowledgeDivergence records that an operator, such as "jane", has dealt with a divergence, and returns it. It cannot be
// undone. A divergence that is acknowledged already does not change. [ErrNotFound] means that there is no divergence with this
// id.
func (c *Client) AcknowledgeDivergence(ctx context.Context, id, by string) (payment.Divergence, error) {
	return c.Acknowledge(ctx, payment.Acknowledgement{DivergenceID: id, By: by})
}

// Acknowledge is [Client.AcknowledgeDivergence] with a reason.
func (c *Client) Acknowledge(ctx context.Context, a payment.Acknowledgement) (payment.Divergence, error) {
	if err := a.Validate(); err != nil {
		return payment.Divergence{}, err
	}
	d, err := read[payment.Divergence](ctx, c, "", payment.ActivityAcknowledgeDivergence, a)
	return d, translate(ctx, err, fmt.Sprintf("%s %s", payment.ActivityAcknowledgeDivergence, a.DivergenceID))
}
