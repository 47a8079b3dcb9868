-- The time of the last transition, for the age of the backlog: updated_at also changes with the details of a status. The events have
-- it too, but reading them for each open payment takes ten times as long. NULL means that the status has not changed since
-- created_at, or, for rows from before this migration, that it is final.

-- +goose Up

ALTER TABLE payments ADD COLUMN status_since timestamptz;
ALTER TABLE refunds ADD COLUMN status_since timestamptz;

UPDATE payments SET status_since = (SELECT max(at) FROM payment_events WHERE subject_id = payment_id AND from_status <> to_status)
	WHERE status IN ('requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation');
-- Its trigger requires a cause, but this is no change of the refunds.
ALTER TABLE refunds DISABLE TRIGGER refunds_update;
UPDATE refunds SET status_since = (SELECT max(at) FROM payment_events WHERE subject_id = refund_id AND from_status <> to_status)
	WHERE status IN ('pending', 'unknown', 'needs_reconciliation');
ALTER TABLE refunds ENABLE TRIGGER refunds_update;

-- +goose StatementBegin
CREATE FUNCTION florin_status_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.status_since := NEW.updated_at;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_status_since BEFORE UPDATE ON payments FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION florin_status_since();
CREATE TRIGGER refunds_status_since BEFORE UPDATE ON refunds FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION florin_status_since();
