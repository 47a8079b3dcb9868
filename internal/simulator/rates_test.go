package simulator

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseRates(t *testing.T) {
	rates, err := ParseRates("500=0.15, 429=0.05,401=0.05,network=0.05")
	require.NoError(t, err)
	require.Equal(t, Rates{"500": .15, "429": .05, "401": .05, "network": .05}, rates)
	require.Equal(t, "401=0.05,429=0.05,500=0.15,network=0.05", rates.String())
	rates, err = ParseRates("429_object=0.1,tok_refund_fails_late=0.2")
	require.NoError(t, err)
	require.Equal(t, Rates{"429_object": .1, "tok_refund_fails_late": .2}, rates)
	rates, err = ParseRates("  ")
	require.NoError(t, err)
	require.Empty(t, rates)

	for name := range randomFaults {
		require.Contains(t, FaultNames, name)
	}
	for in, want := range map[string]string{
		"tok_none=0.1":       `"tok_none" is unknown: use a token`,
		"500":                `"500" is not of the form name=probability`,
		"500=0.1,":           `"" is not of the form name=probability`,
		"teapot=0.1":         `"teapot" is unknown: use a token or one of 401, 409, 429, 429_fraction, 429_object, 500, 503, batch_lost, id_control, network, timeout`,
		"500=often":          `"often" is not a number between 0 and 1`,
		"500=1.5":            "500=1.5: a probability must be between 0 and 1",
		"500=-0.1":           "500=-0.1: a probability must be between 0 and 1",
		"500=NaN":            "500=NaN: a probability must be between 0 and 1",
		"500=0.1,500=0.1":    `"500" is given twice`,
		"500=0.6,401=0.5":    "add up to 1.1: their sum must not exceed 1",
		"500=0.1;timeout=.1": `"0.1;timeout=.1" is not a number`,
	} {
		_, err := ParseRates(in)
		require.ErrorContains(t, err, want, in)
	}
}

func TestParseLatency(t *testing.T) {
	for in, want := range map[string]LatencyRange{
		"":            {},
		"50ms":        {Min: 50 * time.Millisecond, Max: 50 * time.Millisecond},
		"50ms-50ms":   {Min: 50 * time.Millisecond, Max: 50 * time.Millisecond},
		"50ms-200ms":  {Min: 50 * time.Millisecond, Max: 200 * time.Millisecond},
		"0s - 1m0.5s": {Min: 0, Max: 60_500 * time.Millisecond},
	} {
		got, err := ParseLatency(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for in, want := range map[string]string{
		"50":         `"50" is not a duration`,
		"50ms-":      `"50ms-" is not a duration or a range`,
		"-50ms":      `"-50ms" is not a duration or a range`,
		"200ms-50ms": "200ms-50ms: the minimum must not be negative or above the maximum",
	} {
		_, err := ParseLatency(in)
		require.ErrorContains(t, err, want, in)
	}
}

func TestOpenRefusesInvalidOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"no API key":             {},
		`"teapot" is unknown`:    {APIKey: "k", Faults: Rates{"teapot": 1}},
		"a probability must be":  {APIKey: "k", Faults: Rates{"500": math.Inf(1)}},
		"or above the maximum":   {APIKey: "k", Latency: LatencyRange{Min: 2, Max: 1}},
		"pending for -1s":        {APIKey: "k", PendingFor: -time.Second},
		`open ledger "/dev/null`: {APIKey: "k", Path: "/dev/null/ledger.db"},
	} {
		_, err := Open(t.Context(), o)
		require.ErrorContains(t, err, want)
	}
}
