package simulator

// Reading: one payment or refund by id, many by reference or by time.

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// errLost is what every lookup of a lost payment or refund gets.
var errLost = refuse(http.StatusInternalServerError, faultCodes[http.StatusInternalServerError], "a simulated 500")

// reading answers a GET.
type reading func(context.Context, *sql.Tx, *http.Request) (answer, error)

// get serves a reading, as luck has it.
func (s *Simulator) get(read reading) handler {
	return func(r *http.Request) (answer, error) {
		nth := 0
		if !s.calm() {
			nth = s.seen.add(r.Method + r.URL.RequestURI())
		}
		return s.chance(r.Context(), s.draw(r.Method, r.URL.Path, r.URL.RawQuery, nth), func(ctx context.Context) (a answer, err error) {
			err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
				a, err = read(ctx, tx, r)
				return err
			})
			return a, err
		}), nil
	}
}

func getPayment(ctx context.Context, tx *sql.Tx, r *http.Request) (answer, error) {
	p, err := paymentByID(ctx, tx, r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if row, _ := rowFor(p.token, scopeCharge); row.lost {
		return answer{}, errLost
	}
	return jsonAnswer(http.StatusOK, p.shown()), nil
}

func getRefund(ctx context.Context, tx *sql.Tx, r *http.Request) (answer, error) {
	e, err := refundByID(ctx, tx, r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if row, _ := rowFor(e.token, scopeRefund); row.lost {
		return answer{}, errLost
	}
	return jsonAnswer(http.StatusOK, e), nil
}

// page is one answer to a list call.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"`
}

func listPayments(ctx context.Context, tx *sql.Tx, r *http.Request) (answer, error) {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	found, err := selectRows(ctx, tx, selectPayment, q, scanPayment)
	if err != nil {
		return answer{}, fmt.Errorf("list payments: %w", err)
	}
	out := page[payment]{Data: []payment{}, NextCursor: nextCursor(found, q.limit, func(p payment) int64 { return p.seq })}
	for _, p := range found[:min(len(found), q.limit)] {
		row, _ := rowFor(p.token, scopeCharge)
		switch {
		case row.lost && q.byReference:
			return answer{}, errLost
		case row.lost:
			continue // nor does a list give it away
		case p.hidden > 0 && q.byReference:
			if _, err := tx.ExecContext(ctx, `UPDATE payments SET hidden = hidden - 1 WHERE id = ?`, p.ID); err != nil {
				return answer{}, fmt.Errorf("hide payment: %w", err)
			}
		default:
			out.Data = append(out.Data, p.shown())
		}
	}
	return tagged(r, jsonAnswer(http.StatusOK, out)), nil
}

func listRefunds(ctx context.Context, tx *sql.Tx, r *http.Request) (answer, error) {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	found, err := selectRows(ctx, tx, selectRefund, q, scanRefund)
	if err != nil {
		return answer{}, fmt.Errorf("list refunds: %w", err)
	}
	out := page[refundEntry]{Data: []refundEntry{}, NextCursor: nextCursor(found, q.limit, func(e refundEntry) int64 { return e.seq })}
	for _, e := range found[:min(len(found), q.limit)] {
		row, _ := rowFor(e.token, scopeRefund)
		switch {
		case row.lost && q.byReference:
			return answer{}, errLost
		case !row.lost:
			out.Data = append(out.Data, e)
		}
	}
	return tagged(r, jsonAnswer(http.StatusOK, out)), nil
}

// query is a list call's filter. Lists run from the oldest entry to the newest, so that what is new comes at the end
// and a cursor misses nothing.
type query struct {
	where       string
	args        []any
	limit       int
	byReference bool
}

func readQuery(values url.Values) (query, error) {
	q := query{where: "WHERE true", limit: defaultLimit}
	for name := range values {
		value := values.Get(name)
		switch name {
		case "reference":
			q.byReference = true
			q.where, q.args = q.where+" AND reference = ?", append(q.args, value)
		case "created_after":
			t, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return q, badQuery(name, value, "an RFC 3339 time such as 2026-01-31T12:00:00Z")
			}
			q.where, q.args = q.where+" AND created_at > ?", append(q.args, t.UnixNano())
		case "cursor":
			seq, err := decodeCursor(value)
			if err != nil {
				return q, badQuery(name, value, "the next_cursor of an earlier answer")
			}
			q.where, q.args = q.where+" AND seq > ?", append(q.args, seq)
		case "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxLimit {
				return q, badQuery(name, value, fmt.Sprintf("a number from 1 to %d", maxLimit))
			}
			q.limit = n
		default:
			return q, refuse(http.StatusBadRequest, "query_invalid",
				fmt.Sprintf("%q is no parameter of a list; there are reference, created_after, cursor and limit", name))
		}
	}
	return q, nil
}

func badQuery(name, value, want string) error {
	return refuse(http.StatusBadRequest, "query_invalid", fmt.Sprintf("%s %q: must be %s", name, value, want))
}

// selectRows reads one row more than the limit, which tells whether there is a next page.
func selectRows[T any](ctx context.Context, tx *sql.Tx, sel string, q query, scan func(func(...any) error) (T, error)) ([]T, error) {
	rows, err := tx.QueryContext(ctx, sel+q.where+" ORDER BY seq LIMIT ?", append(q.args, q.limit+1)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []T
	for rows.Next() {
		one, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

func nextCursor[T any](found []T, limit int, seq func(T) int64) string {
	if len(found) <= limit {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(seq(found[limit-1]), 10)))
}

func decodeCursor(cursor string) (int64, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// tagged gives a list its ETag, and becomes 304 where the caller has it already.
func tagged(r *http.Request, a answer) answer {
	sum := sha256.Sum256(a.body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	a.header = map[string]string{"ETag": tag}
	known := strings.Split(r.Header.Get("If-None-Match"), ",")
	if slices.ContainsFunc(known, func(k string) bool {
		k = strings.TrimPrefix(strings.TrimSpace(k), "W/")
		return k == tag || k == "*"
	}) {
		a.status, a.body = http.StatusNotModified, nil
	}
	return a
}
