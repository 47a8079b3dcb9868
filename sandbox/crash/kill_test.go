package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// armKill arms a kill at a point. Instead of killing a process it calls killed.
func armKill(t *testing.T, trigger *trigger, p point, killed func()) *kill {
	t.Helper()
	k := newKill(cell{point: p, victim: worker}, 0)
	k.killVictim = func() error { killed(); return nil }
	trigger.arm(k)
	return k
}

func TestTriggerKillsOnceAndOnlyAtItsPoint(t *testing.T) {
	var trigger trigger
	kills := 0
	k := armKill(t, &trigger, at(chargeCall, beforeResponse), func() { kills++ })
	require.NoError(t, trigger.reach(at(chargeCall, beforeSend), nil))
	require.NoError(t, trigger.reach(at(refundCall, beforeResponse), nil))
	require.False(t, k.succeeded())
	require.ErrorIs(t, trigger.reach(at(chargeCall, beforeResponse), []byte("first")), errDropped)
	require.NoError(t, trigger.reach(at(chargeCall, beforeResponse), []byte("second")))
	require.Equal(t, 1, kills)
	require.True(t, k.succeeded())
	require.Equal(t, "first", string(k.message))
}

func TestPointThatNoMessageReachesIsAnError(t *testing.T) {
	var trigger trigger
	k := armKill(t, &trigger, at(voidCall, beforeSend), func() {})
	require.ErrorContains(t, k.wait(t.Context(), time.Millisecond), `no message reached the point "void, before the request is sent"`)
	require.False(t, k.succeeded())
}

func TestVictimThatCannotBeKilledIsAnError(t *testing.T) {
	var trigger trigger
	k := newKill(cell{point: at(chargeCall, beforeSend), victim: worker}, 0)
	k.killVictim = func() error { return errors.New("it had exited by itself") }
	trigger.arm(k)
	require.Error(t, trigger.reach(k.point, nil))
	require.ErrorContains(t, k.wait(t.Context(), time.Second), "by itself")
	require.False(t, k.succeeded())
}
