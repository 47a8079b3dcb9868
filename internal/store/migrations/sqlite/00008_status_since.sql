-- The same as postgres/00008_status_since.sql, which gives the reasons. SQLite's triggers cannot change the row that is written: they
-- write it a second time, unless the statement sets status_since itself.

-- +goose Up

ALTER TABLE payments ADD COLUMN status_since TEXT;
ALTER TABLE refunds ADD COLUMN status_since TEXT;

UPDATE payments SET status_since = (SELECT max(at) FROM payment_events WHERE subject_id = payment_id AND from_status <> to_status)
	WHERE status IN ('requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation');

-- The trigger of 00004, but not for status_since alone. refunds_fixed checks the columns that are not in the list.
DROP TRIGGER refunds_update;
-- +goose StatementBegin
CREATE TRIGGER refunds_update
	AFTER UPDATE OF status, processor_refund_id, decline, failure, updated_at, revision, cause_by, cause_evidence ON refunds
BEGIN
	SELECT RAISE(ABORT, 'a change of a refund needs revision = revision + 1, cause_by and cause_evidence, and an updated_at that does not go back')
	WHERE NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at;
	SELECT RAISE(ABORT, 'illegal transition of a refund')
	WHERE NOT (NEW.status = OLD.status AND OLD.status NOT IN ('succeeded', 'declined', 'failed')
		OR EXISTS (SELECT 1 FROM transitions WHERE kind = 'refund' AND from_status = OLD.status AND to_status = NEW.status));
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.amount, NEW.processor_refund_id, NEW.cause_by, NEW.cause_evidence);
END;
-- +goose StatementEnd

UPDATE refunds SET status_since = (SELECT max(at) FROM payment_events WHERE subject_id = refund_id AND from_status <> to_status)
	WHERE status IN ('pending', 'unknown', 'needs_reconciliation');

-- +goose StatementBegin
CREATE TRIGGER payments_status_since AFTER UPDATE OF status ON payments WHEN NEW.status <> OLD.status AND NEW.status_since IS NOT NEW.updated_at
BEGIN
	UPDATE payments SET status_since = NEW.updated_at WHERE payment_id = NEW.payment_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER refunds_status_since AFTER UPDATE OF status ON refunds WHEN NEW.status <> OLD.status AND NEW.status_since IS NOT NEW.updated_at
BEGIN
	UPDATE refunds SET status_since = NEW.updated_at WHERE refund_id = NEW.refund_id;
END;
-- +goose StatementEnd
