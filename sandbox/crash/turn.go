package main

import "sync"

// turn follows a write from its statement to its commit. Both directions of a connection know a part of it.
type turn struct {
	mu sync.Mutex
	// what is being written, and what was sent to do so; empty between writes.
	what string
	held []byte
	// wrote: the statement has changed a row.
	wrote bool
}

// executes notes that a write was sent.
func (t *turn) executes(what string, held []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what, t.held, t.wrote = what, held, false
}

// completed notes what a statement has done.
func (t *turn) completed(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch tag {
	case "INSERT 0 1", "UPDATE 1":
		t.wrote = true
	case "ROLLBACK":
		t.wrote = false
	}
}

// commit is the write that a commit is about to make last, empty where there is none.
func (t *turn) commit() (what string, held []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.wrote {
		return "", nil
	}
	return t.what, t.held
}

// ends is the write that was committed when PostgreSQL is ready for the next query, empty where none was.
func (t *turn) ends(outsideTransaction bool) (what string, held []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.what == "" || !outsideTransaction {
		return "", nil
	}
	what, held = t.what, t.held
	if !t.wrote {
		what = ""
	}
	t.what, t.held, t.wrote = "", nil, false
	return what, held
}
