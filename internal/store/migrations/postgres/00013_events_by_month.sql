-- payment_events becomes a partitioned table, with a partition for each month, so that old months can be detached and the index that new
-- events are inserted into stays small. docs/data.md describes how. worker migrate creates the partitions of the coming months.

-- +goose Up

-- An update returns these instead of looking for them among the events, of which old ones may be detached. previous_status is the status
-- before the latest change, and had_outcome whether any status before it had an outcome for the caller.
ALTER TABLE payments ADD COLUMN previous_status text COLLATE "C", ADD COLUMN had_outcome boolean NOT NULL DEFAULT FALSE;
ALTER TABLE refunds ADD COLUMN previous_status text COLLATE "C", ADD COLUMN had_outcome boolean NOT NULL DEFAULT FALSE;

-- Other statuses have an outcome themselves, or have none before them.
UPDATE payments SET had_outcome = TRUE WHERE status = 'unknown' AND EXISTS (
	SELECT FROM payment_events WHERE subject_id = payment_id AND to_status NOT IN ('processing', 'unknown'));
-- Its trigger requires a cause, but this is no change of the refunds.
ALTER TABLE refunds DISABLE TRIGGER refunds_update;
UPDATE refunds SET had_outcome = TRUE WHERE status = 'unknown' AND EXISTS (
	SELECT FROM payment_events WHERE subject_id = refund_id AND to_status NOT IN ('processing', 'unknown'));
ALTER TABLE refunds ENABLE TRIGGER refunds_update;

-- The existing events stay where they are, in the first partition.
ALTER TABLE payment_events RENAME TO payment_events_before;
ALTER TABLE payment_events_before DROP CONSTRAINT payment_events_pkey;
DROP TRIGGER payment_events_append ON payment_events_before;
DROP TRIGGER payment_events_keep ON payment_events_before;

-- A primary key has to contain the column of the partitions. That a subject has one event for each revision follows from
-- payment_events_append, too, which accepts one time for each revision.
CREATE TABLE payment_events (
	subject_id   text COLLATE "C" NOT NULL,
	revision     bigint NOT NULL,
	at           timestamptz NOT NULL,
	from_status  text COLLATE "C",
	to_status    text COLLATE "C" NOT NULL,
	amount       bigint NOT NULL,
	processor_id text COLLATE "C",
	cause_by     text NOT NULL,
	evidence     jsonb NOT NULL,
	CONSTRAINT payment_events_pkey PRIMARY KEY (subject_id, revision, at)
) PARTITION BY RANGE (at);

-- PostgreSQL repeats the triggers for rows on every partition, and those for statements on none.
CREATE TRIGGER payment_events_append BEFORE INSERT ON payment_events
	FOR EACH ROW EXECUTE FUNCTION payment_events_append();
CREATE TRIGGER payment_events_fixed BEFORE UPDATE OR DELETE ON payment_events
	FOR EACH ROW EXECUTE FUNCTION florin_refuse('events are never changed or deleted');
CREATE TRIGGER payment_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('events are never changed or deleted');

-- +goose StatementBegin
DO $$
DECLARE until timestamptz;
BEGIN
	SELECT date_trunc('month', CASE WHEN max(at) IS NULL THEN now() ELSE greatest(max(at), now()) + interval '1 month' END, 'UTC')
		INTO until FROM payment_events_before;
	EXECUTE format('ALTER TABLE payment_events ATTACH PARTITION payment_events_before FOR VALUES FROM (MINVALUE) TO (%L)', until);
END $$;
-- +goose StatementEnd
CREATE TRIGGER payment_events_keep BEFORE TRUNCATE ON payment_events_before
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('events are never changed or deleted');

-- For the events of a month that has no partition.
CREATE TABLE payment_events_default PARTITION OF payment_events DEFAULT;
CREATE TRIGGER payment_events_keep BEFORE TRUNCATE ON payment_events_default
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('events are never changed or deleted');

-- +goose StatementBegin
-- Replaces the function of 00001: an event has the time of the row, too. The row is found by its id alone: before PostgreSQL has statistics
-- about a table, it would as well read all rows with the status.
CREATE OR REPLACE FUNCTION payment_events_append() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	of_revision bigint;
	of_status text;
	of_time timestamptz;
BEGIN
	SELECT revision, status, CASE revision WHEN 1 THEN created_at ELSE updated_at END INTO of_revision, of_status, of_time
		FROM payments WHERE payment_id = NEW.subject_id;
	IF NOT FOUND THEN
		SELECT revision, status, CASE revision WHEN 1 THEN created_at ELSE updated_at END INTO of_revision, of_status, of_time
			FROM refunds WHERE refund_id = NEW.subject_id;
	END IF;
	IF (of_revision, of_status, of_time) IS DISTINCT FROM (NEW.revision, NEW.to_status, NEW.at) THEN
		RAISE EXCEPTION 'event % of % did not happen', NEW.revision, NEW.subject_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- As in 00012: replacing a function has removed its search path.
DO $$
BEGIN
	EXECUTE format('ALTER FUNCTION payment_events_append() SET search_path = %I, pg_temp', current_schema());
END $$;
-- +goose StatementEnd
