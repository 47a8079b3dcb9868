-- The columns of postgres/00013_events_by_month.sql, which describes them. SQLite has no partitions.

-- +goose Up

ALTER TABLE payments ADD COLUMN previous_status TEXT;
ALTER TABLE payments ADD COLUMN had_outcome INTEGER NOT NULL DEFAULT FALSE CHECK (had_outcome IN (FALSE, TRUE));
ALTER TABLE refunds ADD COLUMN previous_status TEXT;
ALTER TABLE refunds ADD COLUMN had_outcome INTEGER NOT NULL DEFAULT FALSE CHECK (had_outcome IN (FALSE, TRUE));

UPDATE payments SET had_outcome = TRUE WHERE status = 'unknown' AND EXISTS (
	SELECT 1 FROM payment_events WHERE subject_id = payment_id AND to_status NOT IN ('processing', 'unknown'));
UPDATE refunds SET had_outcome = TRUE WHERE status = 'unknown' AND EXISTS (
	SELECT 1 FROM payment_events WHERE subject_id = refund_id AND to_status NOT IN ('processing', 'unknown'));
