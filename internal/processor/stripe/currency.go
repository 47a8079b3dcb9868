package stripe

import (
	"fmt"

	"github.com/florinpay/florin/payment"
)

// unit is how Stripe counts a currency that it does not count as ISO 4217 and Florin do, or not to the last digit:
// an amount of Florin times up, divided by down, is Stripe's, and Stripe's is a multiple of step.
type unit struct{ up, down, step int64 }

// units are those of https://docs.stripe.com/currencies. Every other currency with two decimals or none is counted
// alike. Stripe's other currencies without decimals are ISO's as well: BIF, CLP, DJF, GNF, JPY, KMF, KRW, PYG, RWF, VND,
// VUV, XAF, XOF, XPF.
var units = map[string]unit{
	// "#zero-decimal": ISO has two decimals.
	"MGA": {up: 1, down: 100, step: 1},
	// "#special-cases": no decimals, but given with two that are always 00.
	"ISK": {up: 100, down: 1, step: 100},
	"UGX": {up: 100, down: 1, step: 100},
	// "#three-decimal": the last digit is always 0.
	"BHD": {up: 1, down: 1, step: 10},
	"JOD": {up: 1, down: 1, step: 10},
	"KWD": {up: 1, down: 1, step: 10},
	"OMR": {up: 1, down: 1, step: 10},
	"TND": {up: 1, down: 1, step: 10},
}

// unitOf refuses to guess how Stripe would count a currency that it does not document.
func unitOf(currency string) (unit, error) {
	if u, ok := units[currency]; ok {
		return u, nil
	}
	digits, err := payment.Exponent(currency)
	if err != nil {
		return unit{}, err
	}
	if digits > 2 {
		return unit{}, fmt.Errorf("currency %s: Stripe does not say how it counts it", currency)
	}
	return unit{up: 1, down: 1, step: 1}, nil
}

// toStripe converts an amount in minor units of ISO 4217 to Stripe's, exactly or not at all.
func toStripe(amount int64, currency string) (int64, error) {
	u, err := unitOf(currency)
	if err != nil {
		return 0, err
	}
	if amount <= 0 || amount > payment.MaxAmount {
		return 0, fmt.Errorf("amount %d: want 1 to %d minor units", amount, payment.MaxAmount)
	}
	if amount%u.down != 0 || amount*u.up/u.down%u.step != 0 {
		return 0, fmt.Errorf("amount %s: Stripe takes no amounts of %s that are so fine", payment.Money{Amount: amount, Currency: currency}, currency)
	}
	return amount * u.up / u.down, nil
}

// fromStripe is the way back. It takes 0: nothing was captured, nothing refunded.
func fromStripe(amount int64, currency string) (int64, error) {
	u, err := unitOf(currency)
	if err != nil {
		return 0, err
	}
	if amount < 0 || amount > payment.MaxAmount*u.up/u.down || amount%u.up != 0 {
		return 0, fmt.Errorf("amount %d of %s is none of Stripe's", amount, currency)
	}
	return amount / u.up * u.down, nil
}
