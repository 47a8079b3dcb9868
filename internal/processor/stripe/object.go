package stripe

import (
	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/processor"
)

// The parts of Stripe's objects that the adapter reads. stripe-go's own types are not used for it: they are decoded by
// encoding/json, which takes "STATUS" for "status".

// paymentIntent is https://docs.stripe.com/api/payment_intents/object.
type paymentIntent struct {
	ID               string                     `json:"id"`
	Object           string                     `json:"object"`
	Status           stripe.PaymentIntentStatus `json:"status"`
	Amount           int64                      `json:"amount"`
	AmountReceived   int64                      `json:"amount_received"`
	Currency         string                     `json:"currency"`
	Metadata         map[string]string          `json:"metadata"`
	LatestCharge     *charge                    `json:"latest_charge"`
	LastPaymentError *refusal                   `json:"last_payment_error"`
}

// charge is https://docs.stripe.com/api/charges/object. It is empty if the response contains only its id.
type charge struct {
	Status         stripe.ChargeStatus `json:"status"`
	Captured       bool                `json:"captured"`
	Amount         int64               `json:"amount"`
	AmountCaptured int64               `json:"amount_captured"`
	AmountRefunded int64               `json:"amount_refunded"`
	Outcome        *outcome            `json:"outcome"`
}

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (c *charge) UnmarshalJSON(value []byte) error {
	if value[0] == '"' {
		return nil // an id: the charge is not expanded
	}
	type object charge
	return processor.DecodeJSON(value, (*object)(c))
}

// outcome has the codes of the card network.
type outcome struct {
	NetworkDeclineCode string                         `json:"network_decline_code"`
	AdviceCode         stripe.ChargeOutcomeAdviceCode `json:"advice_code"`
	NetworkAdviceCode  string                         `json:"network_advice_code"`
}

// refund is https://docs.stripe.com/api/refunds/object.
type refund struct {
	ID            string                     `json:"id"`
	Object        string                     `json:"object"`
	Status        stripe.RefundStatus        `json:"status"`
	Amount        int64                      `json:"amount"`
	Currency      string                     `json:"currency"`
	Metadata      map[string]string          `json:"metadata"`
	FailureReason stripe.RefundFailureReason `json:"failure_reason"`
}
