package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSignatureOfARequestIsNoneOfAnEvent(t *testing.T) {
	const digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	v := verifier(t, 0, secret)
	signature := v.SignRequest(digest, now)
	require.NoError(t, v.VerifyRequest(signature, digest, now.Add(DefaultTolerance)))
	require.ErrorIs(t, v.VerifyRequest(signature, digest, now.Add(DefaultTolerance+time.Second)), ErrTooOld)
	require.ErrorIs(t, v.VerifyRequest(signature, "another", now), ErrMismatch)
	require.ErrorIs(t, verifier(t, 0, "whsec_of_another_processor").VerifyRequest(signature, digest, now), ErrMismatch)

	require.ErrorIs(t, v.Verify(signature, []byte(digest), now), ErrMismatch, "a client that has read it in a history forges no event")
	require.ErrorIs(t, v.VerifyRequest(Sign(secret, []byte(digest), now), digest, now), ErrMismatch)
}

func TestRequestIsVerifiedDuringARotationOfTheSecret(t *testing.T) {
	now := time.Now()
	both := verifier(t, 0, "whsec_old_0123456789", "whsec_new_0123456789")
	for _, secret := range []string{"whsec_old_0123456789", "whsec_new_0123456789"} {
		one := verifier(t, 0, secret)
		require.NoError(t, one.VerifyRequest(both.SignRequest("digest", now), "digest", now))
		require.NoError(t, both.VerifyRequest(one.SignRequest("digest", now), "digest", now))
	}
}
