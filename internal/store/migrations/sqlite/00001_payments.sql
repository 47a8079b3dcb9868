-- The same schema as postgres/00001_payments.sql, which describes the tables. Times are text of a fixed width in UTC, so their
-- order as text is their order in time.
--
-- SQLite's OR REPLACE deletes rows without running triggers, and its OR IGNORE skips constraints, also inside triggers. Only
-- RAISE(ABORT) stops both. Therefore triggers enforce some of the rules again that constraints already enforce.

-- +goose Up

CREATE TABLE transitions (
	kind        TEXT NOT NULL CONSTRAINT transitions_kind CHECK (kind IN ('payment', 'refund')),
	from_status TEXT NOT NULL,
	to_status   TEXT NOT NULL,
	PRIMARY KEY (kind, from_status, to_status)
) STRICT, WITHOUT ROWID;

INSERT INTO transitions (kind, from_status, to_status)
WITH legal (kind, from_status, moves) AS (VALUES
	('payment', 'processing', '["requires_action", "pending", "authorized", "succeeded", "declined", "failed", "voided", "unknown", "conflicted"]'),
	('payment', 'unknown', '["requires_action", "pending", "authorized", "succeeded", "declined", "failed", "voided", "expired", "needs_reconciliation", "conflicted"]'),
	('payment', 'requires_action', '["pending", "authorized", "succeeded", "declined", "failed", "voided", "expired", "conflicted"]'),
	('payment', 'pending', '["requires_action", "authorized", "succeeded", "declined", "failed", "voided", "expired", "conflicted"]'),
	('payment', 'needs_reconciliation', '["requires_action", "pending", "authorized", "succeeded", "declined", "failed", "voided", "expired", "conflicted"]'),
	('payment', 'authorized', '["succeeded", "voided", "expired", "unknown", "needs_reconciliation", "conflicted"]'),
	('refund', 'processing', '["pending", "succeeded", "declined", "failed", "unknown", "needs_reconciliation"]'),
	('refund', 'unknown', '["pending", "succeeded", "declined", "failed", "needs_reconciliation"]'),
	('refund', 'pending', '["succeeded", "declined", "failed", "unknown", "needs_reconciliation"]'),
	('refund', 'needs_reconciliation', '["pending", "succeeded", "declined", "failed"]')
)
SELECT kind, from_status, value FROM legal, json_each(moves);

CREATE TABLE payments (
	payment_id           TEXT NOT NULL PRIMARY KEY,
	merchant_id          TEXT NOT NULL CONSTRAINT payments_merchant_id CHECK (length(merchant_id) BETWEEN 1 AND 64),
	idempotency_key      TEXT NOT NULL CONSTRAINT payments_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 180),
	fingerprint          TEXT NOT NULL CONSTRAINT payments_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	status               TEXT NOT NULL CONSTRAINT payments_status CHECK (status IN ('processing', 'requires_action',
		'pending', 'authorized', 'succeeded', 'declined', 'failed', 'voided', 'expired', 'unknown', 'needs_reconciliation', 'conflicted')),
	amount               INTEGER NOT NULL CONSTRAINT payments_amount CHECK (amount BETWEEN 1 AND 999999999999),
	currency             TEXT NOT NULL CONSTRAINT payments_currency CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
	captured_amount      INTEGER NOT NULL DEFAULT 0 CONSTRAINT payments_captured_amount CHECK (captured_amount BETWEEN 0 AND amount),
	refunded_amount      INTEGER NOT NULL DEFAULT 0 CONSTRAINT payments_refunded_amount CHECK (refunded_amount >= 0),
	reserved_amount      INTEGER NOT NULL DEFAULT 0 CONSTRAINT payments_reserved_amount CHECK (reserved_amount >= 0),
	processor            TEXT NOT NULL CONSTRAINT payments_processor CHECK (length(processor) BETWEEN 1 AND 64),
	processor_payment_id TEXT CONSTRAINT payments_processor_payment_id CHECK (length(processor_payment_id) BETWEEN 1 AND 255),
	processor_request_id TEXT CONSTRAINT payments_processor_request_id CHECK (length(processor_request_id) BETWEEN 1 AND 255),
	payment_method       TEXT NOT NULL CONSTRAINT payments_payment_method CHECK (length(payment_method) BETWEEN 1 AND 255),
	decline              TEXT CONSTRAINT payments_decline CHECK (json_type(decline) = 'object'),
	failure              TEXT CONSTRAINT payments_failure CHECK (json_type(failure) = 'object'),
	created_at           TEXT NOT NULL CONSTRAINT payments_created_at CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	updated_at           TEXT NOT NULL CONSTRAINT payments_updated_at CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	revision             INTEGER NOT NULL DEFAULT 1,
	cause_by             TEXT NOT NULL CONSTRAINT payments_cause_by CHECK (length(cause_by) BETWEEN 1 AND 100),
	cause_evidence       TEXT NOT NULL CONSTRAINT payments_cause_evidence CHECK (json_type(cause_evidence) = 'object'),
	CONSTRAINT payments_refunds_within_captured CHECK (refunded_amount + reserved_amount <= captured_amount),
	CONSTRAINT payments_times CHECK (updated_at >= created_at),
	CONSTRAINT payments_one_per_key UNIQUE (merchant_id, idempotency_key),
	CONSTRAINT payments_one_per_processor_id UNIQUE (processor, processor_payment_id)
) STRICT;
CREATE INDEX payments_of_merchant ON payments (merchant_id, created_at, payment_id);
CREATE INDEX payments_by_time ON payments (created_at, payment_id);
CREATE INDEX payments_open ON payments (created_at, payment_id)
	WHERE status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation', 'conflicted');

CREATE TABLE refunds (
	refund_id           TEXT NOT NULL PRIMARY KEY,
	payment_id          TEXT NOT NULL REFERENCES payments (payment_id),
	merchant_id         TEXT NOT NULL CONSTRAINT refunds_merchant_id CHECK (length(merchant_id) BETWEEN 1 AND 64),
	idempotency_key     TEXT NOT NULL CONSTRAINT refunds_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 180),
	fingerprint         TEXT NOT NULL CONSTRAINT refunds_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	status              TEXT NOT NULL CONSTRAINT refunds_status CHECK (status IN ('processing', 'pending', 'succeeded',
		'declined', 'failed', 'unknown', 'needs_reconciliation')),
	amount              INTEGER NOT NULL CONSTRAINT refunds_amount CHECK (amount BETWEEN 1 AND 999999999999),
	currency            TEXT NOT NULL CONSTRAINT refunds_currency CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
	processor           TEXT NOT NULL CONSTRAINT refunds_processor CHECK (length(processor) BETWEEN 1 AND 64),
	processor_refund_id TEXT CONSTRAINT refunds_processor_refund_id CHECK (length(processor_refund_id) BETWEEN 1 AND 255),
	decline             TEXT CONSTRAINT refunds_decline CHECK (json_type(decline) = 'object'),
	failure             TEXT CONSTRAINT refunds_failure CHECK (json_type(failure) = 'object'),
	created_at          TEXT NOT NULL CONSTRAINT refunds_created_at CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	updated_at          TEXT NOT NULL CONSTRAINT refunds_updated_at CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	revision            INTEGER NOT NULL DEFAULT 1,
	cause_by            TEXT NOT NULL CONSTRAINT refunds_cause_by CHECK (length(cause_by) BETWEEN 1 AND 100),
	cause_evidence      TEXT NOT NULL CONSTRAINT refunds_cause_evidence CHECK (json_type(cause_evidence) = 'object'),
	CONSTRAINT refunds_times CHECK (updated_at >= created_at),
	CONSTRAINT refunds_one_per_key UNIQUE (merchant_id, idempotency_key),
	CONSTRAINT refunds_one_per_processor_id UNIQUE (processor, processor_refund_id)
) STRICT;
CREATE INDEX refunds_of_payment ON refunds (payment_id, created_at, refund_id);

CREATE TABLE payment_events (
	subject_id   TEXT NOT NULL,
	revision     INTEGER NOT NULL,
	at           TEXT NOT NULL,
	from_status  TEXT,
	to_status    TEXT NOT NULL,
	amount       INTEGER NOT NULL,
	processor_id TEXT,
	cause_by     TEXT NOT NULL,
	evidence     TEXT NOT NULL,
	PRIMARY KEY (subject_id, revision)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER payments_keep BEFORE DELETE ON payments
BEGIN SELECT RAISE(ABORT, 'payments are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER refunds_keep BEFORE DELETE ON refunds
BEGIN SELECT RAISE(ABORT, 'refunds are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payment_events_keep BEFORE DELETE ON payment_events
BEGIN SELECT RAISE(ABORT, 'events are never changed or deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payment_events_fixed BEFORE UPDATE ON payment_events
BEGIN SELECT RAISE(ABORT, 'events are never changed or deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payment_events_append BEFORE INSERT ON payment_events
BEGIN
	SELECT RAISE(ABORT, 'events are never changed or deleted')
	WHERE EXISTS (SELECT 1 FROM payment_events WHERE subject_id = NEW.subject_id AND revision = NEW.revision);
	SELECT RAISE(ABORT, 'this event did not happen')
	WHERE NOT EXISTS (SELECT 1 FROM payments WHERE payment_id = NEW.subject_id AND revision = NEW.revision AND status = NEW.to_status)
		AND NOT EXISTS (SELECT 1 FROM refunds WHERE refund_id = NEW.subject_id AND revision = NEW.revision AND status = NEW.to_status);
END;
-- +goose StatementEnd

-- +goose StatementBegin
-- Prevents OR REPLACE. A replacement with the same id is detected by payments_insert: its event exists already.
CREATE TRIGGER payments_replace BEFORE INSERT ON payments
BEGIN
	SELECT RAISE(ABORT, 'payments are never replaced')
	WHERE EXISTS (SELECT 1 FROM payments WHERE rowid = NEW.rowid)
		OR EXISTS (SELECT 1 FROM payments WHERE merchant_id = NEW.merchant_id AND idempotency_key = NEW.idempotency_key AND payment_id <> NEW.payment_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payments_insert AFTER INSERT ON payments
BEGIN
	SELECT RAISE(ABORT, 'a payment must begin as processing, with nothing captured or refunded')
	WHERE NEW.revision <> 1 OR NEW.status <> 'processing' OR NEW.captured_amount <> 0 OR NEW.refunded_amount <> 0
		OR NEW.reserved_amount <> 0 OR NEW.processor_payment_id IS NOT NULL;
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.payment_id, 1, NEW.created_at, NULL, NEW.status, 0, NULL, NEW.cause_by, NEW.cause_evidence);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payments_fixed BEFORE UPDATE ON payments
BEGIN
	SELECT RAISE(ABORT, 'what a payment was asked for, by whom and of which processor never changes')
	WHERE (NEW.rowid, NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.payment_method, NEW.created_at)
		IS NOT (OLD.rowid, OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.payment_method, OLD.created_at);
	SELECT RAISE(ABORT, 'UNIQUE constraint failed: payments.processor, payments.processor_payment_id')
	WHERE NEW.processor_payment_id IS NOT OLD.processor_payment_id AND EXISTS (
		SELECT 1 FROM payments WHERE processor = NEW.processor AND processor_payment_id = NEW.processor_payment_id AND payment_id <> NEW.payment_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payments_sums AFTER UPDATE OF refunded_amount, reserved_amount ON payments
BEGIN
	SELECT RAISE(ABORT, 'refunded_amount and reserved_amount are the sums over the refunds of a payment')
	WHERE (NEW.refunded_amount, NEW.reserved_amount) IS NOT (
		SELECT coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0), coalesce(sum(amount) FILTER (WHERE status NOT IN ('succeeded', 'declined', 'failed')), 0)
		FROM refunds WHERE payment_id = NEW.payment_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payments_unexplained AFTER UPDATE ON payments WHEN NEW.revision = OLD.revision
BEGIN
	SELECT RAISE(ABORT, 'a change of a payment needs revision = revision + 1, cause_by and cause_evidence')
	WHERE (NEW.status, NEW.captured_amount, NEW.processor_payment_id, NEW.processor_request_id, NEW.decline, NEW.failure, NEW.updated_at, NEW.cause_by, NEW.cause_evidence)
		IS NOT (OLD.status, OLD.captured_amount, OLD.processor_payment_id, OLD.processor_request_id, OLD.decline, OLD.failure, OLD.updated_at, OLD.cause_by, OLD.cause_evidence);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER payments_update AFTER UPDATE ON payments WHEN NEW.revision <> OLD.revision
BEGIN
	SELECT RAISE(ABORT, 'the revision of a payment counts by one, and updated_at never goes back')
	WHERE NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at;
	-- A status without transitions is final: not even its details may change.
	SELECT RAISE(ABORT, 'illegal transition of a payment')
	WHERE NOT EXISTS (SELECT 1 FROM transitions WHERE kind = 'payment' AND from_status = OLD.status AND (to_status = NEW.status OR NEW.status = OLD.status));
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.payment_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.captured_amount, NEW.processor_payment_id, NEW.cause_by, NEW.cause_evidence);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_replace BEFORE INSERT ON refunds
BEGIN
	SELECT RAISE(ABORT, 'refunds are never replaced')
	WHERE EXISTS (SELECT 1 FROM refunds WHERE rowid = NEW.rowid)
		OR EXISTS (SELECT 1 FROM refunds WHERE merchant_id = NEW.merchant_id AND idempotency_key = NEW.idempotency_key AND refund_id <> NEW.refund_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_insert AFTER INSERT ON refunds
BEGIN
	SELECT RAISE(ABORT, 'a refund must begin as processing')
	WHERE NEW.revision <> 1 OR NEW.status <> 'processing' OR NEW.processor_refund_id IS NOT NULL;
	SELECT RAISE(ABORT, 'a refund must be of a succeeded payment of the same merchant, currency and processor')
	WHERE NOT EXISTS (SELECT 1 FROM payments WHERE payment_id = NEW.payment_id AND merchant_id = NEW.merchant_id
		AND currency = NEW.currency AND processor = NEW.processor AND status = 'succeeded');
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, 1, NEW.created_at, NULL, NEW.status, NEW.amount, NULL, NEW.cause_by, NEW.cause_evidence);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_fixed BEFORE UPDATE ON refunds
BEGIN
	SELECT RAISE(ABORT, 'what a refund was asked for, by whom and of which processor never changes')
	WHERE (NEW.rowid, NEW.refund_id, NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.created_at)
		IS NOT (OLD.rowid, OLD.refund_id, OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.created_at);
	SELECT RAISE(ABORT, 'UNIQUE constraint failed: refunds.processor, refunds.processor_refund_id')
	WHERE NEW.processor_refund_id IS NOT OLD.processor_refund_id AND EXISTS (
		SELECT 1 FROM refunds WHERE processor = NEW.processor AND processor_refund_id = NEW.processor_refund_id AND refund_id <> NEW.refund_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_update AFTER UPDATE ON refunds
BEGIN
	SELECT RAISE(ABORT, 'a change of a refund needs revision = revision + 1, cause_by and cause_evidence, and an updated_at that does not go back')
	WHERE NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at;
	SELECT RAISE(ABORT, 'illegal transition of a refund')
	WHERE NOT EXISTS (SELECT 1 FROM transitions WHERE kind = 'refund' AND from_status = OLD.status AND (to_status = NEW.status OR NEW.status = OLD.status));
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.amount, NEW.processor_refund_id, NEW.cause_by, NEW.cause_evidence);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_insert_sums AFTER INSERT ON refunds
BEGIN
	UPDATE payments SET (refunded_amount, reserved_amount) = (
		SELECT coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0), coalesce(sum(amount) FILTER (WHERE status NOT IN ('succeeded', 'declined', 'failed')), 0)
		FROM refunds WHERE payment_id = NEW.payment_id) WHERE payment_id = NEW.payment_id;
	SELECT RAISE(ABORT, 'CHECK constraint failed: payments_refunds_within_captured')
	WHERE (SELECT refunded_amount + reserved_amount FROM payments WHERE payment_id = NEW.payment_id) IS NOT (
		SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment_id = NEW.payment_id AND status NOT IN ('declined', 'failed'));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER refunds_update_sums AFTER UPDATE ON refunds
BEGIN
	UPDATE payments SET (refunded_amount, reserved_amount) = (
		SELECT coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0), coalesce(sum(amount) FILTER (WHERE status NOT IN ('succeeded', 'declined', 'failed')), 0)
		FROM refunds WHERE payment_id = NEW.payment_id) WHERE payment_id = NEW.payment_id;
	SELECT RAISE(ABORT, 'CHECK constraint failed: payments_refunds_within_captured')
	WHERE (SELECT refunded_amount + reserved_amount FROM payments WHERE payment_id = NEW.payment_id) IS NOT (
		SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment_id = NEW.payment_id AND status NOT IN ('declined', 'failed'));
END;
-- +goose StatementEnd
