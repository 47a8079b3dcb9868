-- The same as postgres/00004_late_refund_failures.sql, which gives the reasons.

-- +goose Up

INSERT INTO transitions (kind, from_status, to_status) VALUES ('refund', 'succeeded', 'failed');

DROP TRIGGER refunds_update;
-- +goose StatementBegin
CREATE TRIGGER refunds_update AFTER UPDATE ON refunds
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
