-- The same schema as postgres/00015_batches.sql, which describes the tables.

-- +goose Up

CREATE TABLE batches (
	name          TEXT NOT NULL PRIMARY KEY CONSTRAINT batches_name CHECK (length(name) BETWEEN 1 AND 64),
	content_hash  TEXT NOT NULL CONSTRAINT batches_content_hash CHECK (length(content_hash) = 64),
	state         TEXT NOT NULL CONSTRAINT batches_state CHECK (state IN ('receiving', 'running', 'paused', 'canceled', 'completed')),
	per_second    REAL NOT NULL CONSTRAINT batches_per_second CHECK (per_second BETWEEN 0 AND 1000000),
	in_flight     INTEGER NOT NULL CONSTRAINT batches_in_flight CHECK (in_flight BETWEEN 1 AND 1000),
	changed_by    TEXT NOT NULL DEFAULT '' CONSTRAINT batches_by CHECK (length(changed_by) <= 100),
	reason        TEXT NOT NULL DEFAULT '' CONSTRAINT batches_reason CHECK (length(reason) <= 500),
	changed_at    TEXT CONSTRAINT batches_changed_at CHECK (changed_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	revision      INTEGER NOT NULL DEFAULT 0,
	lines         INTEGER NOT NULL CONSTRAINT batches_lines CHECK (lines BETWEEN 1 AND 100000000),
	received      INTEGER NOT NULL DEFAULT 0,
	last_line     INTEGER NOT NULL DEFAULT 0,
	started       INTEGER NOT NULL DEFAULT 0,
	succeeded     INTEGER NOT NULL DEFAULT 0,
	authorized    INTEGER NOT NULL DEFAULT 0,
	declined      INTEGER NOT NULL DEFAULT 0,
	failed        INTEGER NOT NULL DEFAULT 0,
	conflicted    INTEGER NOT NULL DEFAULT 0,
	refused       INTEGER NOT NULL DEFAULT 0,
	created_by    TEXT NOT NULL CONSTRAINT batches_created_by CHECK (length(created_by) <= 100),
	created_at    TEXT NOT NULL CONSTRAINT batches_created_at CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	started_at    TEXT CONSTRAINT batches_started_at CHECK (started_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	progressed_at TEXT NOT NULL CONSTRAINT batches_progressed_at CHECK (progressed_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	attended_at   TEXT NOT NULL CONSTRAINT batches_attended_at CHECK (attended_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	swept_at      TEXT CONSTRAINT batches_swept_at CHECK (swept_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	finished_at   TEXT CONSTRAINT batches_finished_at CHECK (finished_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	CONSTRAINT batches_counts CHECK (succeeded + authorized + declined + failed + conflicted + refused <= started
		AND started <= received AND received <= lines),
	CONSTRAINT batches_started CHECK (started = 0 OR started_at IS NOT NULL AND received = lines),
	CONSTRAINT batches_finished CHECK (CASE WHEN finished_at IS NULL THEN state <> 'completed' ELSE state IN ('canceled', 'completed')
		AND succeeded + authorized + declined + failed + conflicted + refused = started
		AND (state = 'canceled' OR started = lines) END)
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_unfinished ON batches (state, progressed_at) WHERE finished_at IS NULL;

CREATE TABLE batch_events (
	batch      TEXT NOT NULL REFERENCES batches (name),
	revision   INTEGER NOT NULL,
	state      TEXT NOT NULL,
	per_second REAL NOT NULL,
	in_flight  INTEGER NOT NULL,
	changed_by TEXT NOT NULL,
	reason     TEXT NOT NULL,
	changed_at TEXT NOT NULL,
	PRIMARY KEY (batch, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_merchants (
	batch       TEXT NOT NULL REFERENCES batches (name),
	merchant_id TEXT NOT NULL,
	PRIMARY KEY (batch, merchant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_lines (
	batch           TEXT NOT NULL REFERENCES batches (name),
	line            INTEGER NOT NULL CONSTRAINT batch_lines_line CHECK (line >= 1),
	operation       TEXT NOT NULL CONSTRAINT batch_lines_operation CHECK (operation IN ('charge', 'refund')),
	merchant_id     TEXT NOT NULL,
	idempotency_key TEXT NOT NULL,
	id              TEXT NOT NULL,
	fingerprint     TEXT NOT NULL CONSTRAINT batch_lines_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	request         TEXT NOT NULL,
	status          TEXT NOT NULL CONSTRAINT batch_lines_status CHECK (status IN ('waiting', 'open', 'responded', 'succeeded', 'authorized',
		'declined', 'failed', 'voided', 'expired', 'conflicted', 'refused')),
	refusal         TEXT CONSTRAINT batch_lines_refusal CHECK (length(refusal) BETWEEN 1 AND 500),
	PRIMARY KEY (batch, line),
	CONSTRAINT batch_lines_once UNIQUE (id, batch),
	CONSTRAINT batch_lines_refused CHECK ((status = 'refused') = (refusal IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_lines_by_status ON batch_lines (batch, status, line);

-- +goose StatementBegin
CREATE TRIGGER batches_keep BEFORE DELETE ON batches
BEGIN SELECT RAISE(ABORT, 'batches are never deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_events_keep BEFORE DELETE ON batch_events
BEGIN SELECT RAISE(ABORT, 'the events of batches are never changed or deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batch_events_fixed BEFORE UPDATE ON batch_events
BEGIN SELECT RAISE(ABORT, 'the events of batches are never changed or deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_merchants_keep BEFORE DELETE ON batch_merchants
BEGIN SELECT RAISE(ABORT, 'the merchants of batches are never changed or deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batch_merchants_fixed BEFORE UPDATE ON batch_merchants
BEGIN SELECT RAISE(ABORT, 'the merchants of batches are never changed or deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_lines_keep BEFORE DELETE ON batch_lines
BEGIN SELECT RAISE(ABORT, 'the lines of batches are never deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_events_append BEFORE INSERT ON batch_events
BEGIN
	SELECT RAISE(ABORT, 'the events of batches are never changed or deleted')
	WHERE EXISTS (SELECT 1 FROM batch_events WHERE batch = NEW.batch AND revision = NEW.revision);
	SELECT RAISE(ABORT, 'this event did not happen')
	WHERE NOT EXISTS (SELECT 1 FROM batches WHERE name = NEW.batch AND revision > 0
		AND (revision, state, per_second, in_flight, changed_by, reason, changed_at)
			IS (NEW.revision, NEW.state, NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_merchants_once BEFORE INSERT ON batch_merchants
BEGIN
	-- So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM batch_merchants WHERE batch = NEW.batch AND merchant_id = NEW.merchant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batches_insert BEFORE INSERT ON batches
BEGIN
	-- Skips a known batch. So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM batches WHERE name = NEW.name);
	SELECT RAISE(ABORT, 'a batch must begin without lines')
	WHERE NEW.state <> 'receiving' OR NEW.received <> 0 OR NEW.last_line <> 0 OR NEW.revision <> 0 OR NEW.started_at IS NOT NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batches_update AFTER UPDATE ON batches
BEGIN
	SELECT RAISE(ABORT, 'what was submitted of a batch never changes, counters only grow, and states follow each other')
	WHERE OLD.finished_at IS NOT NULL
		OR (NEW.name, NEW.content_hash, NEW.lines, NEW.created_by, NEW.created_at) IS NOT (OLD.name, OLD.content_hash, OLD.lines, OLD.created_by, OLD.created_at)
		OR OLD.started_at IS NOT NULL AND NEW.started_at IS NOT OLD.started_at
		OR NEW.received < OLD.received OR NEW.last_line < OLD.last_line OR NEW.started < OLD.started OR NEW.succeeded < OLD.succeeded
		OR NEW.authorized < OLD.authorized OR NEW.declined < OLD.declined OR NEW.failed < OLD.failed OR NEW.conflicted < OLD.conflicted
		OR NEW.refused < OLD.refused OR NEW.received > OLD.received AND OLD.state <> 'receiving'
		OR NEW.started > OLD.started AND OLD.state <> 'running' OR NEW.revision NOT IN (OLD.revision, OLD.revision + 1)
		OR NEW.state <> OLD.state AND OLD.state || ' ' || NEW.state NOT IN ('receiving running', 'receiving canceled', 'running paused',
			'running canceled', 'running completed', 'paused running', 'paused canceled');
	SELECT RAISE(ABORT, 'a change of a batch by a caller has a revision of its own')
	WHERE NEW.revision = OLD.revision
		AND ((NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at) IS NOT (OLD.per_second, OLD.in_flight, OLD.changed_by, OLD.reason, OLD.changed_at)
		OR NEW.state <> OLD.state AND OLD.state || ' ' || NEW.state NOT IN ('receiving running', 'running completed'));
	INSERT INTO batch_events (batch, revision, state, per_second, in_flight, changed_by, reason, changed_at)
	SELECT NEW.name, NEW.revision, NEW.state, NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at
	WHERE NEW.revision > OLD.revision;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_lines_insert BEFORE INSERT ON batch_lines
BEGIN
	-- Skips a known line. So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE)
	WHERE EXISTS (SELECT 1 FROM batch_lines WHERE batch = NEW.batch AND line = NEW.line)
		OR EXISTS (SELECT 1 FROM batch_lines WHERE batch = NEW.batch AND id = NEW.id);
	SELECT RAISE(ABORT, 'a line must begin as waiting, before its batch starts')
	WHERE NEW.status <> 'waiting' OR NOT EXISTS (SELECT 1 FROM batches WHERE name = NEW.batch AND state = 'receiving');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER batch_lines_update BEFORE UPDATE ON batch_lines
BEGIN
	SELECT RAISE(ABORT, 'what was submitted of a line never changes, and a line is started once and ends once')
	WHERE (NEW.batch, NEW.line, NEW.operation, NEW.merchant_id, NEW.idempotency_key, NEW.id, NEW.fingerprint)
		IS NOT (OLD.batch, OLD.line, OLD.operation, OLD.merchant_id, OLD.idempotency_key, OLD.id, OLD.fingerprint)
		OR NOT (OLD.status = 'waiting' AND NEW.status = 'open' AND NEW.request = OLD.request
			OR OLD.status = 'open' AND NEW.status = 'responded' AND NEW.request = OLD.request
			OR OLD.status IN ('open', 'responded') AND NEW.status NOT IN ('waiting', 'open', 'responded') AND NEW.request IN (OLD.request, ''));
END;
-- +goose StatementEnd
