package webhook

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReplacedSecretsAreUsedWithoutARestart(t *testing.T) {
	const every = 5 * time.Second
	start := time.Now()
	secrets, failure := []string{"whsec_old_secret"}, error(nil)
	now, reads := start, 0
	var failed []error
	r, err := NewRotating(func() ([]string, time.Time, error) {
		reads++
		return secrets, now.Add(every), failure
	}, func(err error) { failed = append(failed, err) })
	require.NoError(t, err)
	accepts := func(secret string) bool { return r.Verify(Sign(secret, body, now), body, now) == nil }
	require.True(t, accepts("whsec_old_secret"))

	secrets = []string{"whsec_new_secret", "whsec_old_secret"}
	now = start.Add(every - 1)
	require.False(t, accepts("whsec_new_secret"))
	require.Equal(t, 1, reads)
	now = start.Add(every)
	require.True(t, accepts("whsec_new_secret"))
	require.True(t, accepts("whsec_old_secret"))
	require.Equal(t, 2, reads)

	for _, secrets = range [][]string{{"whsec_guess"}, {""}, nil} {
		now = now.Add(every)
		require.True(t, accepts("whsec_new_secret"), "the former secrets stay in use")
		require.False(t, accepts("whsec_guess"))
	}
	now, failure = now.Add(every), errors.New("no such file")
	require.True(t, accepts("whsec_new_secret"))
	require.Len(t, failed, 4)
	for _, err := range failed {
		require.NotContains(t, err.Error(), "whsec_")
	}
	now, failure, secrets = now.Add(every), nil, []string{"whsec_third_secret"}
	require.False(t, accepts("whsec_new_secret"))
	require.True(t, accepts("whsec_third_secret"))
}

func TestSecretsOfTheEnvironmentAreReadOnce(t *testing.T) {
	reads := 0
	r, err := NewRotating(func() ([]string, time.Time, error) {
		reads++
		return []string{secret}, time.Time{}, nil
	}, nil)
	require.NoError(t, err)
	for _, at := range []time.Time{noon, noon.Add(1000 * time.Hour)} {
		require.NoError(t, r.Verify(Sign(secret, body, at), body, at))
	}
	require.Equal(t, 1, reads)
}

// A file on a file system that hangs must not hold up the other events.
func TestSlowReadDoesNotDelayOtherRequests(t *testing.T) {
	entered, leave, now := make(chan struct{}), make(chan struct{}), time.Now()
	first := true
	r, err := NewRotating(func() ([]string, time.Time, error) {
		if !first {
			close(entered)
			<-leave
		}
		first = false
		return []string{secret}, now, nil
	}, nil)
	require.NoError(t, err)
	slow := make(chan error)
	go func() { slow <- r.Verify(Sign(secret, body, now), body, now) }()
	<-entered
	require.NoError(t, r.Verify(Sign(secret, body, now), body, now))
	close(leave)
	require.NoError(t, <-slow)
}

func TestRotatingNeedsUsableSecretsAtFirst(t *testing.T) {
	failure := errors.New("no such file")
	_, err := NewRotating(func() ([]string, time.Time, error) { return nil, time.Time{}, failure }, nil)
	require.ErrorIs(t, err, failure)
	_, err = NewRotating(func() ([]string, time.Time, error) { return []string{"whsec_guess"}, time.Time{}, nil }, nil)
	require.EqualError(t, err, "webhook secret 1 of 1 is too short: want at least 16 bytes")
}
