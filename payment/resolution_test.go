package payment

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolutionWithoutTheProcessorsIDIsOnlyForSucceeded(t *testing.T) {
	for name, tt := range map[string]struct {
		status      Status
		processorID string
		problem     string
	}{
		"succeeded":            {status: Succeeded},
		"succeeded with an id": {status: Succeeded, processorID: "ch_1", problem: "contradicts processor_id"},
		"authorized":           {status: Authorized, problem: "want it only with status succeeded"},
		"failed":               {status: Failed, problem: "want it only with status succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Resolution{Status: tt.status, Evidence: "the dashboard", By: "jane", ProcessorID: tt.processorID, WithoutProcessorID: true}
			err := r.Validate(ResolvedPaymentStatuses)
			if tt.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "without_processor_id: true: "+tt.problem)
		})
	}
}

func TestTextsOfAnOperatorAreOnOneLineWithoutControlAndInvisibleCharacters(t *testing.T) {
	for name, text := range map[string]string{
		"escape sequence":        "ok\x1b[2K",
		"carriage return":        "ok\rpaid",
		"line break":             "ok\npaid",
		"C1":                     "ok\u009b31m",
		"bidirectional override": "ok\u202edaip",
		"zero width":             "o\u200bk",
		"byte order mark":        "\ufeffok",
		"not UTF-8":              "ok\xff",
	} {
		t.Run(name, func(t *testing.T) {
			resolution := Resolution{Status: Failed, Evidence: text, By: "jane"}
			require.Equal(t, []string{"evidence"}, fieldsOf(t, resolution.Validate(ResolvedPaymentStatuses)))
			resolution.Evidence, resolution.By = "the dashboard", text
			require.Equal(t, []string{"by"}, fieldsOf(t, resolution.Validate(ResolvedRefundStatuses)))
			require.Equal(t, []string{"by"}, fieldsOf(t, Acknowledgement{DivergenceID: "div_1", By: text}.Validate()))
		})
	}
	accepted := Resolution{Status: Failed, Evidence: `the dashboard: "paid", ticket #4711 (é, 語)`, By: "Jürgen"}
	require.NoError(t, accepted.Validate(ResolvedPaymentStatuses))
}

// The fingerprint is the ID of the update: a resolution that is repeated after an upgrade must join the one before.
func TestFingerprintOfAResolution(t *testing.T) {
	r := Resolution{Status: Succeeded, Evidence: "the dashboard", By: "jane"}
	require.Equal(t, "c4a2fbc76f72191f241a12eb1baa88a327e061a574b61a5df867fb506bdefb8d", r.Fingerprint())
	without := r
	without.WithoutProcessorID = true
	require.NotEqual(t, r.Fingerprint(), without.Fingerprint())
}
