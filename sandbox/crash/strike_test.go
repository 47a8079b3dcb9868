package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// armed is a strike at a point, on a victim that dies without a process. killed is called when it does.
func armed(t *testing.T, g *gate, p point, killed func()) *strike {
	t.Helper()
	s := newStrike(cell{point: p, victim: worker}, 0)
	s.kill = func() error { killed(); return nil }
	g.arm(s)
	return s
}

func TestAGateStrikesOnceAndOnlyAtItsPoint(t *testing.T) {
	var g gate
	kills := 0
	s := armed(t, &g, at(chargeCall, afterSend), func() { kills++ })
	require.NoError(t, g.pass(at(chargeCall, beforeSend), nil))
	require.NoError(t, g.pass(at(refundCall, afterSend), nil))
	require.False(t, s.struck())
	require.ErrorIs(t, g.pass(at(chargeCall, afterSend), []byte("held")), errDropped)
	require.NoError(t, g.pass(at(chargeCall, afterSend), []byte("the next one")))
	require.Equal(t, 1, kills)
	require.True(t, s.struck())
	require.Equal(t, "held", string(s.held))
}

func TestAPointThatNothingComesToIsAnError(t *testing.T) {
	var g gate
	s := armed(t, &g, at(voidCall, beforeSend), func() {})
	require.ErrorContains(t, s.wait(t.Context(), time.Millisecond), `nothing came to the point "void, before the send"`)
	require.False(t, s.struck())
}

func TestAVictimThatCannotBeKilledWasNotStruck(t *testing.T) {
	var g gate
	s := newStrike(cell{point: at(chargeCall, beforeSend), victim: worker}, 0)
	s.kill = func() error { return errors.New("it had ended by itself") }
	g.arm(s)
	require.Error(t, g.pass(s.point, nil))
	require.ErrorContains(t, s.wait(t.Context(), time.Second), "by itself")
	require.False(t, s.struck())
}
