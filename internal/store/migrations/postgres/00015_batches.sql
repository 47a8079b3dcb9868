-- Batches: files of charges and refunds that are started one by one. Rows are only added. A line changes when it is started, when
-- its processor has responded without an outcome, and when it has ended.

-- +goose Up

-- received counts the lines that were handed over, started those that were started; the other counters those that ended with this status
-- (failed: failed, voided or expired). created_by is empty if callers did not have to prove who they are. revision counts the changes by
-- callers; a trigger appends each as an event. progressed_at is when lines were last started or ended, or when a caller changed something,
-- attended_at when something last worked on the batch, and swept_at when the outcomes of all its responded lines were last read.
CREATE TABLE batches (
	name          text COLLATE "C" NOT NULL PRIMARY KEY CONSTRAINT batches_name CHECK (length(name) BETWEEN 1 AND 64),
	content_hash  text COLLATE "C" NOT NULL CONSTRAINT batches_content_hash CHECK (length(content_hash) = 64),
	state         text COLLATE "C" NOT NULL CONSTRAINT batches_state CHECK (state IN ('receiving', 'running', 'paused', 'canceled', 'completed')),
	per_second    double precision NOT NULL CONSTRAINT batches_per_second CHECK (per_second BETWEEN 0 AND 1000000),
	in_flight     bigint NOT NULL CONSTRAINT batches_in_flight CHECK (in_flight BETWEEN 1 AND 1000),
	changed_by    text NOT NULL DEFAULT '' CONSTRAINT batches_by CHECK (length(changed_by) <= 100),
	reason        text NOT NULL DEFAULT '' CONSTRAINT batches_reason CHECK (length(reason) <= 500),
	changed_at    timestamptz,
	revision      bigint NOT NULL DEFAULT 0,
	lines         bigint NOT NULL CONSTRAINT batches_lines CHECK (lines BETWEEN 1 AND 100000000),
	received      bigint NOT NULL DEFAULT 0,
	last_line     bigint NOT NULL DEFAULT 0,
	started       bigint NOT NULL DEFAULT 0,
	succeeded     bigint NOT NULL DEFAULT 0,
	authorized    bigint NOT NULL DEFAULT 0,
	declined      bigint NOT NULL DEFAULT 0,
	failed        bigint NOT NULL DEFAULT 0,
	conflicted    bigint NOT NULL DEFAULT 0,
	refused       bigint NOT NULL DEFAULT 0,
	created_by    text NOT NULL CONSTRAINT batches_created_by CHECK (length(created_by) <= 100),
	created_at    timestamptz NOT NULL,
	started_at    timestamptz,
	progressed_at timestamptz NOT NULL,
	attended_at   timestamptz NOT NULL,
	swept_at      timestamptz,
	finished_at   timestamptz,
	CONSTRAINT batches_counts CHECK (succeeded + authorized + declined + failed + conflicted + refused <= started
		AND started <= received AND received <= lines),
	CONSTRAINT batches_started CHECK (started = 0 OR started_at IS NOT NULL AND received = lines),
	CONSTRAINT batches_finished CHECK (CASE WHEN finished_at IS NULL THEN state <> 'completed' ELSE state IN ('canceled', 'completed')
		AND succeeded + authorized + declined + failed + conflicted + refused = started
		AND (state = 'canceled' OR started = lines) END)
);
CREATE INDEX batches_unfinished ON batches (state, progressed_at) WHERE finished_at IS NULL;

CREATE TABLE batch_events (
	batch      text COLLATE "C" NOT NULL REFERENCES batches (name),
	revision   bigint NOT NULL,
	state      text COLLATE "C" NOT NULL,
	per_second double precision NOT NULL,
	in_flight  bigint NOT NULL,
	changed_by text NOT NULL,
	reason     text NOT NULL,
	changed_at timestamptz NOT NULL,
	PRIMARY KEY (batch, revision)
);

-- The merchants of a batch: who may read and control it depends on them.
CREATE TABLE batch_merchants (
	batch       text COLLATE "C" NOT NULL REFERENCES batches (name),
	merchant_id text COLLATE "C" NOT NULL,
	PRIMARY KEY (batch, merchant_id)
);

-- request is the JSON of the charge or refund; empty once the line has ended. id is that of the payment or refund, refusal why it was refused.
-- A line is responded, which callers see as open, once its processor has responded without an outcome.
CREATE TABLE batch_lines (
	batch           text COLLATE "C" NOT NULL REFERENCES batches (name),
	line            bigint NOT NULL CONSTRAINT batch_lines_line CHECK (line >= 1),
	operation       text COLLATE "C" NOT NULL CONSTRAINT batch_lines_operation CHECK (operation IN ('charge', 'refund')),
	merchant_id     text COLLATE "C" NOT NULL,
	idempotency_key text COLLATE "C" NOT NULL,
	id              text COLLATE "C" NOT NULL,
	fingerprint     text COLLATE "C" NOT NULL CONSTRAINT batch_lines_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	request         text NOT NULL,
	status          text COLLATE "C" NOT NULL CONSTRAINT batch_lines_status CHECK (status IN ('waiting', 'open', 'responded', 'succeeded', 'authorized',
		'declined', 'failed', 'voided', 'expired', 'conflicted', 'refused')),
	refusal         text CONSTRAINT batch_lines_refusal CHECK (length(refusal) BETWEEN 1 AND 500),
	PRIMARY KEY (batch, line),
	CONSTRAINT batch_lines_once UNIQUE (id, batch),
	CONSTRAINT batch_lines_refused CHECK ((status = 'refused') = (refusal IS NOT NULL))
);
CREATE INDEX batch_lines_by_status ON batch_lines (batch, status, line);
ALTER TABLE batch_lines SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);

CREATE TRIGGER batches_keep BEFORE DELETE OR TRUNCATE ON batches
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('batches are never deleted');
CREATE TRIGGER batch_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON batch_events
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the events of batches are never changed or deleted');
CREATE TRIGGER batch_merchants_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON batch_merchants
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the merchants of batches are never changed or deleted');
CREATE TRIGGER batch_lines_keep BEFORE DELETE OR TRUNCATE ON batch_lines
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the lines of batches are never deleted');

-- +goose StatementBegin
CREATE FUNCTION batch_events_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM batches WHERE name = NEW.batch AND revision > 0
		AND (revision, state, per_second, in_flight, changed_by, reason, changed_at)
			IS NOT DISTINCT FROM (NEW.revision, NEW.state, NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at)) THEN
		RAISE EXCEPTION 'event % of batch % did not happen', NEW.revision, NEW.batch USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER batch_events_append BEFORE INSERT ON batch_events FOR EACH ROW EXECUTE FUNCTION batch_events_append();

-- +goose StatementBegin
CREATE FUNCTION batches_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.state <> 'receiving' OR NEW.received <> 0 OR NEW.last_line <> 0 OR NEW.revision <> 0 OR NEW.started_at IS NOT NULL THEN
		RAISE EXCEPTION 'batch %: must begin without lines', NEW.name USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER batches_insert BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION batches_insert();

-- +goose StatementBegin
CREATE FUNCTION batches_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.finished_at IS NOT NULL
		OR (NEW.name, NEW.content_hash, NEW.lines, NEW.created_by, NEW.created_at) IS DISTINCT FROM (OLD.name, OLD.content_hash, OLD.lines, OLD.created_by, OLD.created_at)
		OR OLD.started_at IS NOT NULL AND NEW.started_at IS DISTINCT FROM OLD.started_at
		OR NEW.received < OLD.received OR NEW.last_line < OLD.last_line OR NEW.started < OLD.started OR NEW.succeeded < OLD.succeeded
		OR NEW.authorized < OLD.authorized OR NEW.declined < OLD.declined OR NEW.failed < OLD.failed OR NEW.conflicted < OLD.conflicted
		OR NEW.refused < OLD.refused OR NEW.received > OLD.received AND OLD.state <> 'receiving'
		OR NEW.started > OLD.started AND OLD.state <> 'running' OR NEW.revision NOT IN (OLD.revision, OLD.revision + 1)
		OR NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('receiving', 'running'), ('receiving', 'canceled'), ('running', 'paused'),
			('running', 'canceled'), ('running', 'completed'), ('paused', 'running'), ('paused', 'canceled')) THEN
		RAISE EXCEPTION 'batch %: what was submitted never changes, counters only grow, and % does not become %', OLD.name, OLD.state, NEW.state USING ERRCODE = 'FL001';
	END IF;
	IF NEW.revision > OLD.revision THEN
		INSERT INTO batch_events (batch, revision, state, per_second, in_flight, changed_by, reason, changed_at)
			VALUES (NEW.name, NEW.revision, NEW.state, NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at);
	ELSIF (NEW.per_second, NEW.in_flight, NEW.changed_by, NEW.reason, NEW.changed_at) IS DISTINCT FROM (OLD.per_second, OLD.in_flight, OLD.changed_by, OLD.reason, OLD.changed_at)
		OR NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('receiving', 'running'), ('running', 'completed')) THEN
		RAISE EXCEPTION 'batch %: a change by a caller has a revision of its own', OLD.name USING ERRCODE = 'FL001';
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER batches_update AFTER UPDATE ON batches FOR EACH ROW EXECUTE FUNCTION batches_update();

-- +goose StatementBegin
CREATE FUNCTION batch_lines_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.status <> 'waiting' OR NOT EXISTS (SELECT FROM batches WHERE name = NEW.batch AND state = 'receiving') THEN
		RAISE EXCEPTION 'batch %: a line must begin as waiting, before the batch starts', NEW.batch USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER batch_lines_insert BEFORE INSERT ON batch_lines FOR EACH ROW EXECUTE FUNCTION batch_lines_insert();

-- +goose StatementBegin
CREATE FUNCTION batch_lines_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.batch, NEW.line, NEW.operation, NEW.merchant_id, NEW.idempotency_key, NEW.id, NEW.fingerprint)
		IS DISTINCT FROM (OLD.batch, OLD.line, OLD.operation, OLD.merchant_id, OLD.idempotency_key, OLD.id, OLD.fingerprint)
		OR NOT (OLD.status = 'waiting' AND NEW.status = 'open' AND NEW.request = OLD.request
			OR OLD.status = 'open' AND NEW.status = 'responded' AND NEW.request = OLD.request
			OR OLD.status IN ('open', 'responded') AND NEW.status NOT IN ('waiting', 'open', 'responded') AND NEW.request IN (OLD.request, '')) THEN
		RAISE EXCEPTION 'batch %, line %: what was submitted never changes, and a line is started once and ends once', OLD.batch, OLD.line USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER batch_lines_update BEFORE UPDATE ON batch_lines FOR EACH ROW EXECUTE FUNCTION batch_lines_update();

-- +goose StatementBegin
-- The functions find Florin's tables whatever the search path of a session is, see 00012.
DO $$
DECLARE trigger_function regprocedure;
BEGIN
	FOR trigger_function IN SELECT oid::regprocedure FROM pg_proc
		WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype AND proname ~ '^(batches|batch_events|batch_lines)_' LOOP
		EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', trigger_function, current_schema());
	END LOOP;
END $$;
-- +goose StatementEnd
