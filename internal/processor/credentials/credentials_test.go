package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// numbered returns a loader that returns the keys sk_1, sk_2, … and counts the loads.
func numbered(loads *atomic.Int32) func(context.Context) (Key, error) {
	return func(context.Context) (Key, error) { return Key{Value: fmt.Sprint("sk_", loads.Add(1))}, nil }
}

func TestKeyIsLoadedOnceAndAgainAfterItIsRejected(t *testing.T) {
	var loads atomic.Int32
	c, err := New(t.Context(), numbered(&loads))
	require.NoError(t, err)
	require.Equal(t, "Bearer sk_1", c.Bearer(t.Context()))
	require.Equal(t, "Bearer sk_1", c.Bearer(t.Context()))
	require.NoError(t, c.Refresh(t.Context(), "Bearer sk_1"))
	require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()))
	require.NoError(t, c.Refresh(t.Context(), "Bearer sk_1"), "the rejected key has already been replaced")
	require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()))
	require.EqualValues(t, 2, loads.Load())
}

func TestHundredConcurrent401sCauseOneReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		load := numbered(&loads)
		c, err := New(t.Context(), func(ctx context.Context) (Key, error) {
			<-time.After(time.Second)
			return load(ctx)
		})
		require.NoError(t, err)
		rejected := c.Bearer(t.Context())
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				<-time.After(time.Duration(i) * 20 * time.Millisecond) // some arrive after the reload
				require.NoError(t, c.Refresh(t.Context(), rejected))
				require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()))
			})
		}
		all.Wait()
		require.EqualValues(t, 2, loads.Load())
	})
}

func TestCanceledCallDoesNotCancelTheReloadForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		load := numbered(&loads)
		c, err := New(t.Context(), func(ctx context.Context) (Key, error) {
			select {
			case <-time.After(time.Second):
				return load(ctx)
			case <-ctx.Done():
				return Key{}, ctx.Err()
			}
		})
		require.NoError(t, err)
		first, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { require.ErrorIs(t, c.Refresh(first, "Bearer sk_1"), context.Canceled) })
		synctest.Wait()
		all.Go(func() { require.NoError(t, c.Refresh(t.Context(), "Bearer sk_1")) })
		synctest.Wait()
		cancel()
		all.Wait()
		require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()))
	})
}

func TestKeyIsReloadedAtItsRefreshTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		var failure error
		c, err := New(t.Context(), func(context.Context) (Key, error) {
			return Key{Value: fmt.Sprint("sk_", loads.Add(1)), RefreshAt: time.Now().Add(5 * time.Second)}, failure
		})
		require.NoError(t, err)
		<-time.After(5*time.Second - 1)
		require.Equal(t, "Bearer sk_1", c.Bearer(t.Context()))
		<-time.After(time.Nanosecond)
		require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()))
		failure = errors.New("vault is sealed")
		<-time.After(time.Minute)
		require.Equal(t, "Bearer sk_2", c.Bearer(t.Context()), "the old key stays in use")
		failure = nil
		require.Equal(t, "Bearer sk_4", c.Bearer(t.Context()))
	})
}

func TestFailedReloadKeepsTheOldKey(t *testing.T) {
	key, failure := "sk_1", error(nil)
	c, err := New(t.Context(), func(context.Context) (Key, error) { return Key{Value: key}, failure })
	require.NoError(t, err)
	failure = errors.New("vault is sealed")
	require.ErrorIs(t, c.Refresh(t.Context(), "Bearer sk_1"), failure)
	failure = nil
	for _, key = range []string{"", "sk_2\n", "sk\r\n2", "sk\x002", "sk\x7f2"} {
		err := c.Refresh(t.Context(), "Bearer sk_1")
		require.Error(t, err, "%q", key)
		require.NotContains(t, err.Error(), "sk")
		require.Equal(t, "Bearer sk_1", c.Bearer(t.Context()))
	}
}

func TestCredentialsRequireAnInitialKey(t *testing.T) {
	_, err := New(t.Context(), func(context.Context) (Key, error) { return Key{}, nil })
	require.EqualError(t, err, "the processor's API key is empty")
	_, err = New(t.Context(), func(context.Context) (Key, error) { return Key{}, errors.New("no such file") })
	require.EqualError(t, err, "no such file")
}
