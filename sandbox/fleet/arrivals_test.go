package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// every returns n arrivals with a distance.
func every(n int, distance time.Duration) (all []arrival) {
	began := time.Now()
	for i := range n {
		all = append(all, arrival{at: began.Add(time.Duration(i) * distance), charge: true})
	}
	return all
}

func TestBusiestSecondCountsInAnySecond(t *testing.T) {
	highest, violations := busiestSecond(every(100, 100*time.Millisecond), 11)
	require.Equal(t, []int{11, 0}, []int{highest, violations})
	all := append(every(100, 100*time.Millisecond), arrival{})
	all = append(all[:50], append([]arrival{{at: all[49].at}, {at: all[49].at}}, all[50:100]...)...)
	highest, violations = busiestSecond(all, 11)
	require.Equal(t, []int{13, 12}, []int{highest, violations})
	highest, violations = busiestSecond(nil, 0)
	require.Equal(t, []int{0, 0}, []int{highest, violations})
}

func TestArrivalsAreRecordedByWorkerAndKind(t *testing.T) {
	var a arrivals
	s := httptest.NewServer(a.record(http.NotFoundHandler()))
	defer s.Close()
	began := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/charges", nil)
	require.NoError(t, err)
	request.Header.Set("Idempotency-Key", "b-17")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	_, err = get(t.Context(), s.URL+"/payments?reference=a-3")
	require.Error(t, err)
	all := a.between(began, time.Now())
	require.Len(t, all, 2)
	require.Equal(t, []int{1, 1, 0}, []int{charges(all, ""), charges(all, "b"), charges(all, "a")})
	require.Empty(t, a.between(time.Now(), time.Now().Add(time.Second)))
}
