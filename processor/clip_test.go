package processor

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClippedTextsAreShortValidAndWithoutCardNumbers(t *testing.T) {
	require.Empty(t, Clip(""))
	require.Equal(t, "slow down", Clip("slow down"))
	require.Equal(t, strings.Repeat("x", MaxClipped), Clip(strings.Repeat("x", MaxClipped+1)))
	require.Equal(t, "(withheld: looks like a card number or a secret)", Clip("card 4111 1111 1111 1111 12/27 refused"))
	require.Equal(t, "(withheld: looks like a card number or a secret)", Clip(strings.Repeat("x ", 200)+"4111111111111111"))
	for i := range 4 {
		clipped := Clip(strings.Repeat("x", MaxClipped-i) + "🙂 the end")
		require.True(t, utf8.ValidString(clipped))
		require.LessOrEqual(t, len(clipped), MaxClipped)
	}
	require.Equal(t, "ab", Clip("a\xffb"))
}
