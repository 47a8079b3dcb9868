package processor

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCredentialsAreReadOnceAndAgainOnRefresh(t *testing.T) {
	loads := 0
	keys := []string{"sk_1", "sk_2"}
	c, err := NewCredentials(func() (string, error) { loads++; return keys[loads-1], nil })
	require.NoError(t, err)
	require.Equal(t, "Bearer sk_1", c.Bearer())
	require.Equal(t, "Bearer sk_1", c.Bearer())
	require.Equal(t, 1, loads)
	require.NoError(t, c.Refresh())
	require.Equal(t, "Bearer sk_2", c.Bearer())
	require.Equal(t, 2, loads)
}

func TestAKeyThatCannotBeReadLeavesTheOldOneInUse(t *testing.T) {
	key, failure := "sk_1", error(nil)
	c, err := NewCredentials(func() (string, error) { return key, failure })
	require.NoError(t, err)
	failure = errors.New("vault is sealed")
	require.ErrorIs(t, c.Refresh(), failure)
	failure = nil
	for _, key = range []string{"", "sk_2\n", "sk\r\n2", "sk\x002", "sk\x7f2"} {
		err := c.Refresh()
		require.Error(t, err, "%q", key)
		require.NotContains(t, err.Error(), "sk")
		require.Equal(t, "Bearer sk_1", c.Bearer())
	}
}

func TestCredentialsNeedAKeyToBeginWith(t *testing.T) {
	_, err := NewCredentials(func() (string, error) { return "", nil })
	require.EqualError(t, err, "the processor's API key is empty")
	_, err = NewCredentials(func() (string, error) { return "", errors.New("no such file") })
	require.EqualError(t, err, "no such file")
}

func TestCredentialsAreSafeForConcurrentUse(t *testing.T) {
	c, err := NewCredentials(func() (string, error) { return "sk_1", nil })
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = c.Refresh() })
		all.Go(func() { _ = c.Bearer() })
	}
	all.Wait()
	require.Equal(t, "Bearer sk_1", c.Bearer())
}
