package simulator

// Lookups: one payment or refund by ID, lists by reference or by time.

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

// errLookupFails is the response to every lookup of a payment or refund whose token has lookupsFail set.
var errLookupFails = refuse(http.StatusInternalServerError, faultCodes[http.StatusInternalServerError], "a simulated 500")

// lookup handles a GET request for payments or refunds.
type lookup func(context.Context, *sql.Tx, *http.Request) (response, error)

// get returns a handler for a lookup. Lookups meet random faults, too.
func (s *Simulator) get(find lookup) handler {
	return s.limited(func(r *http.Request) (response, error) {
		nth := 0
		if !s.randomnessOff() {
			nth = s.reads.add(r.Method + r.URL.RequestURI())
		}
		in := s.draw(r.Method, r.URL.Path, r.URL.RawQuery, nth)
		return s.inject(r.Context(), in, func(ctx context.Context) (resp response, err error) {
			err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
				resp, err = find(ctx, tx, r)
				return err
			})
			return resp, err
		}), nil
	})
}

func getPayment(ctx context.Context, tx *sql.Tx, r *http.Request) (response, error) {
	p, err := paymentByID(ctx, tx, r.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	if b, _ := behaviorFor(p.token, scopeCharge); b.lookupsFail {
		return response{}, errLookupFails
	}
	return jsonResponse(http.StatusOK, p.protocolView()), nil
}

func getRefund(ctx context.Context, tx *sql.Tx, r *http.Request) (response, error) {
	e, err := refundByID(ctx, tx, r.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	if b, _ := behaviorFor(e.token, scopeRefund); b.lookupsFail {
		return response{}, errLookupFails
	}
	return jsonResponse(http.StatusOK, e.protocolView()), nil
}

// page is the JSON body of a list response.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"`
}

func listPayments(ctx context.Context, tx *sql.Tx, r *http.Request) (response, error) {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		return response{}, err
	}
	found, err := selectRows(ctx, tx, selectPayment, q, scanPayment)
	if err != nil {
		return response{}, fmt.Errorf("list payments: %w", err)
	}
	out := page[payment]{Data: []payment{}, NextCursor: nextCursor(found, q.limit, func(p payment) int64 { return p.seq })}
	for _, p := range found[:min(len(found), q.limit)] {
		b, _ := behaviorFor(p.token, scopeCharge)
		switch {
		case b.lookupsFail && q.byReference:
			return response{}, errLookupFails
		case b.lookupsFail:
			continue // a list without a reference must not reveal it either
		case p.hiddenLookups > 0 && q.byReference:
			if _, err := tx.ExecContext(ctx, `UPDATE payments SET hidden = hidden - 1 WHERE id = ?`, p.ID); err != nil {
				return response{}, fmt.Errorf("hide payment: %w", err)
			}
			if b.hiddenStatus != 0 {
				return refuse(b.hiddenStatus, faultCodes[b.hiddenStatus], fmt.Sprintf("a simulated %d", b.hiddenStatus)).response(), nil
			}
		default:
			out.Data = append(out.Data, p.protocolView())
		}
	}
	return withETag(r, jsonResponse(http.StatusOK, out)), nil
}

func listRefunds(ctx context.Context, tx *sql.Tx, r *http.Request) (response, error) {
	q, err := readQuery(r.URL.Query())
	if err != nil {
		return response{}, err
	}
	found, err := selectRows(ctx, tx, selectRefund, q, scanRefund)
	if err != nil {
		return response{}, fmt.Errorf("list refunds: %w", err)
	}
	out := page[refundEntry]{
		Data:       []refundEntry{},
		NextCursor: nextCursor(found, q.limit, func(e refundEntry) int64 { return e.seq }),
	}
	for _, e := range found[:min(len(found), q.limit)] {
		b, _ := behaviorFor(e.token, scopeRefund)
		switch {
		case b.lookupsFail && q.byReference:
			return response{}, errLookupFails
		case !b.lookupsFail:
			out.Data = append(out.Data, e.protocolView())
		}
	}
	return withETag(r, jsonResponse(http.StatusOK, out)), nil
}

// query is the filter of a list. Lists are ordered from the oldest entry to the newest: new entries come at the end, so
// that a cursor skips none.
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
				return q, badQuery(name, value, "an RFC 3339 time, such as 2026-01-31T12:00:00Z")
			}
			q.where, q.args = q.where+" AND created_at > ?", append(q.args, t.UnixNano())
		case "cursor":
			seq, err := decodeCursor(value)
			if err != nil {
				return q, badQuery(name, value, "the next_cursor of an earlier response")
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
				fmt.Sprintf("unknown parameter %q: use reference, created_after, cursor or limit", name))
		}
	}
	return q, nil
}

func badQuery(name, value, want string) error {
	return refuse(http.StatusBadRequest, "query_invalid", fmt.Sprintf("%s %q: must be %s", name, value, want))
}

// selectRows reads one row more than the limit: nextCursor needs it to decide whether there is a next page.
func selectRows[T any](
	ctx context.Context, tx *sql.Tx, sel string, q query, scan func(func(...any) error) (T, error),
) ([]T, error) {
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

// withETag adds an ETag to a response, and turns the response into a 304 if the If-None-Match header has the ETag.
func withETag(r *http.Request, resp response) response {
	sum := sha256.Sum256(resp.body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	resp.header = map[string]string{"ETag": tag}
	known := strings.Split(r.Header.Get("If-None-Match"), ",")
	if slices.ContainsFunc(known, func(k string) bool {
		k = strings.TrimPrefix(strings.TrimSpace(k), "W/")
		return k == tag || k == "*"
	}) {
		resp.status, resp.body = http.StatusNotModified, nil
	}
	return resp
}
