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

// The fingerprint is the ID of the update: a resolution that is repeated after an upgrade must join the one before.
func TestFingerprintOfAResolution(t *testing.T) {
	r := Resolution{Status: Succeeded, Evidence: "the dashboard", By: "jane"}
	require.Equal(t, "c4a2fbc76f72191f241a12eb1baa88a327e061a574b61a5df867fb506bdefb8d", r.Fingerprint())
	without := r
	without.WithoutProcessorID = true
	require.NotEqual(t, r.Fingerprint(), without.Fingerprint())
}
