package settlement

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/florinpay/florin/payment"
)

func TestPairsAreSortedWhateverFitsIntoMemory(t *testing.T) {
	for name, memory := range map[string]int{"all": 1 << 20, "some": 2000, "one": 1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newSorter(dir, memory)
			r := rand.New(rand.NewPCG(1, 2))
			var want []string
			for i := range 500 {
				name, kind := fmt.Sprint("name", r.IntN(200)), byte(r.IntN(3))
				k := key(name, kind, int64(i))
				value := bytes.Repeat([]byte{byte(i)}, r.IntN(40))
				want = append(want, string(k)+"="+string(value))
				require.NoError(t, s.add(k, value))
			}
			slices.Sort(want)
			var got []string
			require.NoError(t, s.each(func(k, value []byte) error {
				got = append(got, string(k)+"="+string(value))
				return nil
			}))
			require.Equal(t, want, got)
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			require.NoError(t, err)
			require.Empty(t, left, "a temporary file has no name while it is used")
			require.NoError(t, s.close())
			require.NoError(t, s.close())
		})
	}
}

func TestGroupsAreWhole(t *testing.T) {
	s := newSorter(t.TempDir(), 0)
	for i, name := range []string{"a", "ab", "a", "a b", "", "ab", "a"} {
		require.NoError(t, s.add(key(name, byte(i%2), int64(i)), nil))
	}
	var names []string
	require.NoError(t, s.each(func(k, _ []byte) error {
		name, _ := split(k)
		names = append(names, string(name))
		return nil
	}))
	require.Equal(t, []string{"", "a", "a", "a", "a b", "ab", "ab"}, names)
}

func TestTemporaryFileIsForItsOwnerOnly(t *testing.T) {
	s := newSorter(t.TempDir(), 1)
	for i := range 3 {
		require.NoError(t, s.add(key("a", 0, int64(i)), nil))
	}
	info, err := s.file.Stat()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, s.close())
}

func TestFieldsAreReadAsWritten(t *testing.T) {
	line := named{
		Line: Line{
			Number: 7, Reference: "a", ID: "b", PaymentID: "c", Refund: true, Amount: 1250, Currency: "USD", Status: payment.Pending,
			CreatedAt: time.Date(2026, 11, 22, 8, 0, 0, 1000, time.UTC), Unreadable: "why",
		},
		owner: owner{"d", "e"},
	}
	var read named
	require.NoError(t, decode(encode(&line), &read))
	require.Equal(t, line, read)
	record := Record{PaymentID: "a", RefundID: "b", MerchantID: "c", IdempotencyKey: "d", Status: payment.Unknown, Amount: 1, Captured: 2, Currency: "EUR", ProcessorID: "e"}
	var same Record
	encoded := encode(&record)
	require.NoError(t, decode(encoded, &same))
	require.Equal(t, record, same)
	for i := range encoded {
		require.ErrorIs(t, decode(encoded[:i], &same), errDamaged)
	}
}
