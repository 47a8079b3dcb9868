package audit

import "context"

type subjectKey struct{}

// WithPaymentID returns a context whose calls are about this payment or refund, for the records of lookups: a lookup itself has only
// the reference.
func WithPaymentID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, subjectKey{}, id)
}

// PaymentID returns which payment or refund the calls made with ctx are about; empty unless [WithPaymentID] has set it.
func PaymentID(ctx context.Context) string {
	id, _ := ctx.Value(subjectKey{}).(string)
	return id
}
