package stripe

import (
	"fmt"

	"github.com/florinpay/florin/payment"
)

// unit converts a currency whose minor unit or granularity at Stripe differs from ISO 4217, which Florin uses. Stripe's amount is
// Florin's amount * up / down, and must be a multiple of step.
type unit struct{ up, down, step int64 }

// units are the exceptions in https://docs.stripe.com/currencies. All other currencies with two decimals or none have the same
// minor unit at Stripe and in ISO 4217. Those without decimals are BIF, CLP, DJF, GNF, JPY, KMF, KRW, PYG, RWF, VND, VUV, XAF,
// XOF and XPF.
var units = map[string]unit{
	// "#zero-decimal": ISO has two decimals.
	"MGA": {up: 1, down: 100, step: 1},
	// "#special-cases": ISO has no decimals; Stripe expects two, which must be 00.
	"ISK": {up: 100, down: 1, step: 100},
	"UGX": {up: 100, down: 1, step: 100},
	// "#three-decimal": the last digit must be 0.
	"BHD": {up: 1, down: 1, step: 10},
	"JOD": {up: 1, down: 1, step: 10},
	"KWD": {up: 1, down: 1, step: 10},
	"OMR": {up: 1, down: 1, step: 10},
	"TND": {up: 1, down: 1, step: 10},
}

// unitOf returns the unit of a currency. It returns an error for a currency with three or more decimals that Stripe does not
// document, because its minor unit there is unknown.
func unitOf(currency string) (unit, error) {
	if u, ok := units[currency]; ok {
		return u, nil
	}
	digits, err := payment.Exponent(currency)
	if err != nil {
		return unit{}, err
	}
	if digits > 2 {
		return unit{}, fmt.Errorf("currency %s has %d decimals: Stripe does not document its minor unit", currency, digits)
	}
	return unit{up: 1, down: 1, step: 1}, nil
}

// toStripe converts an amount in minor units of ISO 4217 to Stripe's. It returns an error if the conversion is not exact.
func toStripe(amount int64, currency string) (int64, error) {
	u, err := unitOf(currency)
	if err != nil {
		return 0, err
	}
	if amount <= 0 || amount > payment.MaxAmount {
		return 0, fmt.Errorf("%d: want 1 to %d minor units", amount, payment.MaxAmount)
	}
	if amount%u.down != 0 || amount*u.up/u.down%u.step != 0 {
		return 0, fmt.Errorf("%s: Stripe does not accept amounts of this precision in %s",
			payment.Money{Amount: amount, Currency: currency}, currency)
	}
	return amount * u.up / u.down, nil
}

// fromStripe converts an amount of Stripe to minor units of ISO 4217. Unlike toStripe, it accepts 0: nothing captured or
// refunded.
func fromStripe(amount int64, currency string) (int64, error) {
	u, err := unitOf(currency)
	if err != nil {
		return 0, err
	}
	if amount < 0 || amount > payment.MaxAmount*u.up/u.down || amount%u.up != 0 {
		return 0, fmt.Errorf("amount %d %s is not a valid amount of Stripe", amount, currency)
	}
	return amount / u.up * u.down, nil
}
