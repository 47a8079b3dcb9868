package stripe

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/florinpay/florin/payment"
)

// meaning is what an error type, an error code or a decline code proves beyond the HTTP status.
type meaning int

const (
	// byStatus: nothing. The status alone determines certainty and retry: for example 401 for api_key_expired, 429 for
	// rate_limit, 400 for parameter_missing.
	byStatus meaning = iota + 1
	// declinedHard, declinedSoft and declinedAction: with a 402, the payment was declined, with this kind.
	declinedHard
	declinedSoft
	declinedAction
	// mismatch: the key was used with another payload.
	mismatch
	// inFlight: another request is using the key or the object. A key in use proves that an earlier request may still move
	// money. Stripe acquires the lock on the object during execution, after its rate limiters and its idempotency layer: so
	// a lock_timeout, unlike a rate_limit, does not prove that nothing was executed.
	inFlight
	// conflict: the payment is not in a state for the operation. By its status, a 400, the call would be invalid and not
	// executed; but an earlier request of ours may have changed the state, so the outcome has to be looked up.
	conflict
)

// lockTimeout means that another request, or Stripe itself, is using the object: https://docs.stripe.com/rate-limits. Stripe
// sends it with a 429, but not because of a rate limit.
const lockTimeout = "lock_timeout"

// errorTypes classifies the error types of https://docs.stripe.com/api/errors. rate_limit and temporary_session_expired belong
// to API v2, which this adapter does not use.
var errorTypes = invert[stripe.ErrorType](map[meaning]string{
	declinedSoft: `card_error`,
	mismatch:     `idempotency_error`,
	byStatus:     `api_error invalid_request_error rate_limit temporary_session_expired`,
})

// errorCodes classifies the error codes of https://docs.stripe.com/error-codes. Codes of refunds that are impossible, such as
// charge_disputed, are byStatus: nothing was executed, and a retry cannot succeed.
var errorCodes = invert[stripe.ErrorCode](map[meaning]string{
	conflict: `capture_charge_authorization_expired capture_unauthorized_payment charge_already_captured
		charge_already_refunded charge_expired_for_capture intent_invalid_state payment_intent_unexpected_state`,
	inFlight: `idempotency_key_in_use ` + lockTimeout,
	declinedHard: `account_closed bank_account_restricted bank_account_unusable billing_invalid_mandate debit_not_authorized
		expired_card incorrect_number india_recurring_payment_mandate_canceled invalid_card_type invalid_expiry_month
		invalid_expiry_year invalid_number no_account payment_intent_mandate_invalid payment_method_bank_account_blocked
		sepa_unsupported_account token_card_network_invalid`,
	declinedSoft: `bank_account_declined card_decline_rate_limit_exceeded card_declined charge_exceeds_source_limit
		charge_exceeds_transaction_limit insufficient_funds payment_intent_payment_attempt_expired
		payment_intent_payment_attempt_failed payment_method_not_available payment_method_provider_decline
		payment_method_provider_timeout processing_error refer_to_customer`,
	declinedAction: `authentication_required incorrect_address incorrect_cvc incorrect_zip invalid_cvc payment_intent_action_required
		payment_intent_authentication_failure payment_intent_konbini_rejected_confirmation_number
		payment_method_customer_decline`,
	byStatus: `account_country_invalid_address account_error_country_change_requires_additional_steps
		account_information_mismatch account_invalid account_number_invalid account_token_required_for_v2_account
		acss_debit_session_incomplete alipay_upgrade_required amount_too_large amount_too_small api_key_expired
		application_fees_not_allowed balance_insufficient balance_invalid_parameter bank_account_bad_routing_numbers
		bank_account_exists bank_account_unverified bank_account_verification_failed bitcoin_upgrade_required
		cardholder_phone_number_required charge_disputed charge_invalid_parameter charge_not_refundable
		clearing_code_unsupported country_code_invalid country_unsupported coupon_expired customer_max_payment_methods
		customer_max_subscriptions customer_session_expired customer_tax_location_invalid email_invalid
		financial_connections_account_inactive financial_connections_account_pending_account_numbers
		financial_connections_account_unavailable_account_numbers
		financial_connections_no_successful_transaction_refresh forwarding_api_inactive forwarding_api_invalid_parameter
		forwarding_api_retryable_upstream_error forwarding_api_upstream_connection_error
		forwarding_api_upstream_connection_timeout forwarding_api_upstream_error instant_payouts_config_disabled
		instant_payouts_currency_disabled instant_payouts_limit_exceeded instant_payouts_unsupported
		intent_verification_method_missing invalid_characters invalid_charge_amount
		invalid_mandate_reference_prefix_format invalid_source_usage invalid_tax_location invoice_no_customer_line_items
		invoice_no_payment_method_types invoice_no_subscription_line_items invoice_not_editable
		invoice_on_behalf_of_not_editable invoice_payment_intent_requires_action invoice_upcoming_none livemode_mismatch
		missing not_allowed_on_standard_account out_of_inventory ownership_declaration_not_allowed
		parameter_invalid_empty parameter_invalid_integer parameter_invalid_string_blank parameter_invalid_string_empty
		parameter_missing parameter_unknown parameters_exclusive payment_intent_incompatible_payment_method
		payment_intent_invalid_parameter payment_intent_rate_limit_exceeded payment_method_bank_account_already_verified
		payment_method_billing_details_address_missing payment_method_configuration_failures
		payment_method_currency_mismatch payment_method_invalid_parameter payment_method_invalid_parameter_testmode
		payment_method_microdeposit_failed payment_method_microdeposit_verification_amounts_invalid
		payment_method_microdeposit_verification_amounts_mismatch
		payment_method_microdeposit_verification_attempts_exceeded
		payment_method_microdeposit_verification_descriptor_code_mismatch
		payment_method_microdeposit_verification_timeout payment_method_unactivated payment_method_unexpected_state
		payment_method_unsupported_type payout_reconciliation_not_ready payouts_limit_exceeded payouts_not_allowed
		platform_account_required platform_api_key_expired postal_code_invalid product_inactive
		progressive_onboarding_limit_exceeded rate_limit refund_disputed_payment request_blocked resource_already_exists
		resource_missing return_intent_already_processed routing_number_invalid secret_key_required
		service_period_coupon_with_metered_tiered_item_unsupported setup_attempt_failed
		setup_intent_authentication_failure setup_intent_invalid_parameter setup_intent_mandate_invalid
		setup_intent_mobile_wallet_unsupported setup_intent_setup_attempt_expired setup_intent_unexpected_state
		shipping_address_invalid shipping_calculation_failed sku_inactive state_unsupported status_transition_invalid
		storer_capability_missing storer_capability_not_active stripe_tax_inactive tax_id_invalid tax_id_prohibited
		taxes_calculation_failed terminal_location_country_unsupported terminal_reader_busy
		terminal_reader_hardware_fault terminal_reader_invalid_location_for_activation
		terminal_reader_invalid_location_for_payment terminal_reader_offline terminal_reader_timeout
		testmode_charges_only tls_version_unsupported token_already_used token_in_use
		transfer_source_balance_parameters_mismatch transfers_not_allowed url_invalid`,
})

// declineCodes classifies the decline codes of https://docs.stripe.com/declines/codes by the documented next steps. Hard: the
// customer needs another card, the network forbids a retry, or, for duplicate_transaction, a recent payment exists already: a
// retry that succeeds would be a second charge. Action: the customer can correct it with the same card. Soft:
// all others, including those for which the issuer gives no reason.
var declineCodes = invert[stripe.DeclineCode](map[meaning]string{
	declinedHard: `card_not_supported currency_not_supported do_not_try_again duplicate_transaction expired_card fraudulent incorrect_number
		invalid_account invalid_expiry_month invalid_expiry_year invalid_number lost_card merchant_blacklist
		new_account_information_available not_permitted pickup_card pin_try_exceeded restricted_card
		revocation_of_all_authorizations revocation_of_authorization security_violation service_not_allowed stolen_card
		stop_payment_order testmode_decline transaction_not_allowed`,
	declinedAction: `authentication_required incorrect_cvc incorrect_pin incorrect_zip invalid_cvc invalid_pin
		offline_pin_required online_or_offline_pin_required`,
	declinedSoft: `approve_with_id call_issuer card_velocity_exceeded do_not_honor generic_decline
		insufficient_funds invalid_amount issuer_not_available no_action_taken processing_error reenter_transaction
		try_again_later withdrawal_count_limit_exceeded`,
})

// refundFailures classifies the reasons for a failed refund: https://docs.stripe.com/refunds#failed-refunds.
var refundFailures = invert[stripe.RefundFailureReason](map[meaning]string{
	declinedHard: `expired_or_canceled_card lost_or_stolen_card`,
	declinedSoft: `unknown`,
})

// invert turns lists of codes by meaning into a map from code to meaning. It panics if a code is listed twice.
func invert[T ~string](codes map[meaning]string) map[T]meaning {
	m := make(map[T]meaning)
	for meaning, list := range codes {
		for code := range strings.FieldsSeq(list) {
			if _, ok := m[T(code)]; ok {
				panic("listed twice: " + code)
			}
			m[T(code)] = meaning
		}
	}
	return m
}

// kinds maps the meanings that are declines to their kinds.
var kinds = map[meaning]payment.DeclineKind{
	declinedHard: payment.DeclineHard, declinedSoft: payment.DeclineSoft, declinedAction: payment.DeclineAction,
}

// isDecline reports whether an error is a decline: a 402 with a code that means a decline, or with the type card_error. A
// conflict, such as a capture that comes too late, is not a decline, whatever its type.
func isDecline(status int, kind stripe.ErrorType, code stripe.ErrorCode) bool {
	if status != http.StatusPaymentRequired || errorCodes[code] == conflict || errorCodes[code] == inFlight {
		return false
	}
	return kinds[errorCodes[code]] != "" || errorTypes[kind] == declinedSoft
}

// declineKind returns the kind of a decline, soft for unknown codes. The advice do_not_try_again of the issuer takes
// precedence over the decline code: https://docs.stripe.com/declines#retrying-issuer-declines.
func declineKind(code stripe.ErrorCode, reason stripe.DeclineCode,
	advice stripe.ChargeOutcomeAdviceCode) payment.DeclineKind {
	if advice == stripe.ChargeOutcomeAdviceCodeDoNotTryAgain {
		return payment.DeclineHard
	}
	return cmp.Or(kinds[declineCodes[reason]], kinds[errorCodes[code]], payment.DeclineSoft)
}
