package main

import "sync"

// writeTracker follows a write to the store from its statement to its commit. It combines what the two directions of a
// connection show.
type writeTracker struct {
	mu sync.Mutex
	// exchange is the write in progress, message the message that executes it. Both are empty between writes.
	exchange string
	message  []byte
	// changed reports whether the statement has changed a row.
	changed bool
}

// sent records that a write was sent to PostgreSQL.
func (t *writeTracker) sent(exchange string, message []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exchange, t.message, t.changed = exchange, message, false
}

// completed records the command tag with which PostgreSQL completed a statement.
func (t *writeTracker) completed(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch tag {
	case "INSERT 0 1", "UPDATE 1":
		t.changed = true
	case "ROLLBACK":
		t.changed = false
	}
}

// uncommitted returns the write that a commit would make durable, or "" if there is none.
func (t *writeTracker) uncommitted() (exchange string, message []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.changed {
		return "", nil
	}
	return t.exchange, t.message
}

// ready is called when PostgreSQL is ready for the next query. It returns the write that was committed, or "" if none was.
func (t *writeTracker) ready(outsideTransaction bool) (exchange string, message []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exchange == "" || !outsideTransaction {
		return "", nil
	}
	exchange, message = t.exchange, t.message
	if !t.changed {
		exchange = ""
	}
	t.exchange, t.message, t.changed = "", nil, false
	return exchange, message
}
