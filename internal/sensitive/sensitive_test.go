package sensitive

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOrdinaryTextsAreNotSensitive(t *testing.T) {
	for _, text := range []string{
		"", "succeeded", "USD", "insufficient_funds", "ch_1MqLiJ2eZvKYlo2C", "pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc",
		"2026-01-15T12:44:45.123456789Z", "2026-01-15 12:44:45", "1767225600123", "/v1/payments/pay_d85a7c25-1d82-5816-8d28-de7ad0add1cc/refunds",
		"risk_level", "task_1", "ask_me", "work_item", "bearer", "the bearer", "bearer_token", "skate", "_sk", "a.eyes", "client_secret", "secret_key",
		"read tcp 10.0.0.1:443: i/o timeout", "100%", "a\\b", "%", `\`, `\u`, `\u12`, `\x`, `%3`, "12345", "für %C3%BC",
	} {
		require.False(t, Contains(text, "7Fq2mVx9Lr4TzKpW"), text)
	}
}

func TestShortKeyCountsOnlyAsTheWholeText(t *testing.T) {
	require.True(t, Contains("order-1", "order-1"))
	require.False(t, Contains("order-17", "order-1"))
	require.True(t, Contains("an order-17 too", "order-17"))
	require.False(t, Contains("", ""))
}

func TestTextWithTooManyLevelsOfEscapingIsSensitive(t *testing.T) {
	require.False(t, Contains("%252541", ""))
	require.True(t, Contains("%25252541", ""))
}

// The digits of a time, such as 44:45.123456789, may have the prefix and the check digit of a card number.
func TestTimeIsNotTakenForACardNumber(t *testing.T) {
	at := time.Date(2026, 1, 15, 12, 44, 45, 123_456_789, time.UTC)
	for range 20_000 {
		at = at.Add(1_234_567_891_011)
		require.False(t, Contains(at.Format("2006-01-02T15:04:05.999999999Z07:00"), ""), at)
	}
}

func TestCardNumbersOfEveryLengthAndGroupingAreSensitive(t *testing.T) {
	for _, text := range []string{
		"4222222222222", "36227206271667", "378282246310005", "4111111111111111", "6759649826438453", "6205500000000000004",
		"4111.1111.1111.1111", "4111/1111/1111/1111", "tok_4111_1111_1111_1111", "3782\u2013822463\u201310005", "4111\t1111\t1111\t1111",
	} {
		require.True(t, Contains(text, ""), text)
	}
}
