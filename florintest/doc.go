// Package florintest has a fake of the client of package florin, for the unit tests of a service that charges customers. The fake keeps
// payments in memory: it needs no Temporal server, no worker, no processor and no network, and it starts no goroutine.
//
// Let the service depend on [florin.API], and give it a [Fake] in its tests:
//
//	func TestRetriedCheckoutChargesOnce(t *testing.T) {
//		fake := florintest.New()
//		shop := Shop{Payments: fake}
//
//		fake.LoseResponse(florintest.Charge, nil) // the customer is charged, but the service does not learn it
//		require.ErrorIs(t, shop.Checkout(ctx, order), florin.ErrOutcomePending)
//		require.NoError(t, shop.Checkout(ctx, order)) // the service tries again
//
//		require.Len(t, fake.Charges(), 1)
//		fake.CheckNoDoubleCharge(t, nil)
//	}
//
// # Outcomes
//
// The payment method of a charge selects what happens to it, as with Florin's simulated processor. [PaymentMethods] lists all of them:
// "tok_visa" succeeds, "tok_insufficient_funds" is declined, "tok_403" fails, "tok_lost" needs reconciliation, the captures of
// "tok_capture_403" are not executed, the refunds of "tok_refund_declined" are declined. An unknown payment method fails, as it does
// at the simulated processor.
//
// "tok_pending" and "tok_requires_action" stay as they are until the test calls [Fake.Complete], and "tok_refund_pending" until it
// calls [Fake.CompleteRefund]. No time passes otherwise: an outcome that takes a worker some retries and lookups is there at once.
//
// # What equals the real client
//
// Statuses, amounts, declines, the classes and codes of failures, idempotency, validation and the errors that [errors.Is] and
// [errors.As] find are those of [florin.Client]; a test of Florin compares the two. A request whose SendBy has passed when
// it begins fails; later, SendBy has no effect. No payment of a fake is divergent. The texts of errors and failures, the processor's
// ids and the number of revisions may differ.
package florintest
