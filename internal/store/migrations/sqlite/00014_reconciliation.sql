-- The same schema as postgres/00014_reconciliation.sql, which describes the tables.

-- +goose Up

CREATE TABLE reconciliation_runs (
	run_id      TEXT NOT NULL PRIMARY KEY CONSTRAINT reconciliation_runs_run_id CHECK (length(run_id) BETWEEN 1 AND 100),
	processor   TEXT NOT NULL CONSTRAINT reconciliation_runs_processor CHECK (length(processor) BETWEEN 1 AND 64),
	workflow_id TEXT NOT NULL CONSTRAINT reconciliation_runs_workflow_id CHECK (length(workflow_id) BETWEEN 1 AND 255),
	window_from TEXT NOT NULL CONSTRAINT reconciliation_runs_window_from CHECK (window_from GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	window_to   TEXT NOT NULL CONSTRAINT reconciliation_runs_window_to CHECK (window_to GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	started_at  TEXT NOT NULL CONSTRAINT reconciliation_runs_started_at CHECK (started_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	ended_at    TEXT CONSTRAINT reconciliation_runs_ended_at CHECK (ended_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	complete    INTEGER NOT NULL DEFAULT 0 CONSTRAINT reconciliation_runs_is_complete CHECK (complete IN (0, 1)),
	reason      TEXT NOT NULL DEFAULT '' CONSTRAINT reconciliation_runs_reason CHECK (length(reason) <= 500),
	pages       INTEGER NOT NULL DEFAULT 0,
	listed      INTEGER NOT NULL DEFAULT 0,
	compared    INTEGER NOT NULL DEFAULT 0,
	checked     INTEGER NOT NULL DEFAULT 0,
	hurried     INTEGER NOT NULL DEFAULT 0,
	findings    INTEGER NOT NULL DEFAULT 0,
	CONSTRAINT reconciliation_runs_window CHECK (window_from <= window_to),
	CONSTRAINT reconciliation_runs_ended CHECK (NOT complete OR ended_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX reconciliation_runs_by_time ON reconciliation_runs (processor, started_at, run_id);
CREATE INDEX reconciliation_runs_complete ON reconciliation_runs (processor, window_to) WHERE complete;

-- +goose StatementBegin
CREATE TRIGGER reconciliation_runs_keep BEFORE DELETE ON reconciliation_runs
BEGIN SELECT RAISE(ABORT, 'the runs of reconciliation are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER reconciliation_runs_insert BEFORE INSERT ON reconciliation_runs
BEGIN
	-- Skips a known run. So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM reconciliation_runs WHERE run_id = NEW.run_id);
	SELECT RAISE(ABORT, 'a run of reconciliation must begin without an end') WHERE NEW.ended_at IS NOT NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER reconciliation_runs_update BEFORE UPDATE ON reconciliation_runs
BEGIN
	SELECT RAISE(ABORT, 'a run of reconciliation never changes, except that it ends once')
	WHERE OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
		OR (NEW.run_id, NEW.processor, NEW.workflow_id, NEW.window_from, NEW.window_to, NEW.started_at)
		IS NOT (OLD.run_id, OLD.processor, OLD.workflow_id, OLD.window_from, OLD.window_to, OLD.started_at);
END;
-- +goose StatementEnd

CREATE TABLE reconciliation_records (
	run_id     TEXT NOT NULL REFERENCES reconciliation_runs (run_id),
	operation  TEXT NOT NULL CONSTRAINT reconciliation_records_operation CHECK (operation IN ('charge', 'refund')),
	record_id  TEXT NOT NULL CONSTRAINT reconciliation_records_record_id CHECK (length(record_id) BETWEEN 1 AND 255),
	reference  TEXT NOT NULL,
	created_at TEXT CONSTRAINT reconciliation_records_created_at CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	matched    INTEGER NOT NULL DEFAULT 0 CONSTRAINT reconciliation_records_matched CHECK (matched IN (0, 1)),
	record     TEXT NOT NULL,
	PRIMARY KEY (run_id, operation, record_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reconciliation_records_by_reference ON reconciliation_records (run_id, operation, reference);

CREATE TABLE reconciliation_checks (
	run_id      TEXT NOT NULL REFERENCES reconciliation_runs (run_id),
	operation   TEXT NOT NULL CONSTRAINT reconciliation_checks_operation CHECK (operation IN ('charge', 'refund')),
	subject_id  TEXT NOT NULL CONSTRAINT reconciliation_checks_subject_id CHECK (length(subject_id) BETWEEN 1 AND 300),
	merchant_id TEXT NOT NULL,
	record_id   TEXT NOT NULL,
	round       INTEGER NOT NULL DEFAULT 0,
	doubts      TEXT NOT NULL DEFAULT '[]',
	done        INTEGER NOT NULL DEFAULT 0 CONSTRAINT reconciliation_checks_done CHECK (done IN (0, 1)),
	PRIMARY KEY (run_id, operation, subject_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reconciliation_checks_open ON reconciliation_checks (run_id, round, operation, subject_id) WHERE NOT done;

-- SQLite cannot change a constraint: the table is copied. Its triggers and indexes end with it.
CREATE TABLE divergences_new (
	divergence_id   TEXT NOT NULL PRIMARY KEY,
	payment_id      TEXT REFERENCES payments (payment_id),
	refund_id       TEXT REFERENCES refunds (refund_id),
	merchant_id     TEXT,
	kind            TEXT NOT NULL CONSTRAINT divergences_kind CHECK (kind IN ('status', 'amount', 'captured', 'refunded', 'dispute', 'refund_status',
		'missing_here', 'missing_there', 'currency', 'duplicate_reference', 'refund_missing_here', 'refund_missing_there', 'unreadable')),
	status_here     TEXT NOT NULL CONSTRAINT divergences_status_here CHECK (length(status_here) <= 64 AND (length(status_here) > 0 OR payment_id IS NULL)),
	status_there    TEXT NOT NULL CONSTRAINT divergences_status_there CHECK (length(status_there) <= 64),
	detected_at     TEXT NOT NULL CONSTRAINT divergences_detected_at CHECK (detected_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	detected_by     TEXT NOT NULL CONSTRAINT divergences_detected_by CHECK (length(detected_by) BETWEEN 1 AND 100),
	evidence        TEXT NOT NULL CONSTRAINT divergences_evidence CHECK (json_type(evidence) = 'object'),
	fingerprint     TEXT NOT NULL CONSTRAINT divergences_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	acknowledged_at TEXT CONSTRAINT divergences_acknowledged_at CHECK (acknowledged_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	acknowledged_by TEXT CONSTRAINT divergences_acknowledged_by CHECK (length(acknowledged_by) BETWEEN 1 AND 100),
	processor       TEXT NOT NULL CONSTRAINT divergences_processor CHECK (length(processor) BETWEEN 1 AND 64),
	processor_record_id TEXT CONSTRAINT divergences_processor_record_id CHECK (length(processor_record_id) BETWEEN 1 AND 255),
	acknowledged_reason TEXT CONSTRAINT divergences_acknowledged_reason CHECK (length(acknowledged_reason) BETWEEN 1 AND 500),
	CONSTRAINT divergences_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
	CONSTRAINT divergences_acknowledged_why CHECK (acknowledged_reason IS NULL OR acknowledged_at IS NOT NULL),
	CONSTRAINT divergences_merchant CHECK ((payment_id IS NULL) = (merchant_id IS NULL)),
	CONSTRAINT divergences_about CHECK (payment_id IS NOT NULL OR processor_record_id IS NOT NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO divergences_new (divergence_id, payment_id, refund_id, merchant_id, kind, status_here, status_there, detected_at, detected_by,
	evidence, fingerprint, acknowledged_at, acknowledged_by, processor)
SELECT divergence_id, payment_id, refund_id, merchant_id, kind, status_here, status_there, detected_at, detected_by,
	evidence, fingerprint, acknowledged_at, acknowledged_by, (SELECT processor FROM payments WHERE payments.payment_id = divergences.payment_id)
FROM divergences;
DROP TABLE divergences;
ALTER TABLE divergences_new RENAME TO divergences;
CREATE UNIQUE INDEX divergences_once ON divergences (coalesce(payment_id, ''), coalesce(refund_id, ''), kind, fingerprint);
CREATE INDEX divergences_of_payment ON divergences (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX divergences_of_processor ON divergences (processor, detected_at, divergence_id);
CREATE INDEX divergences_by_time ON divergences (detected_at, divergence_id);
CREATE INDEX divergences_open ON divergences (detected_at, divergence_id) WHERE acknowledged_at IS NULL;

-- +goose StatementBegin
CREATE TRIGGER divergences_keep BEFORE DELETE ON divergences
BEGIN SELECT RAISE(ABORT, 'divergences are never deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER divergences_insert BEFORE INSERT ON divergences
BEGIN
	-- Skips a recorded divergence. So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE)
	WHERE EXISTS (SELECT 1 FROM divergences WHERE divergence_id = NEW.divergence_id)
		OR EXISTS (SELECT 1 FROM divergences WHERE coalesce(payment_id, '') = coalesce(NEW.payment_id, '') AND coalesce(refund_id, '') = coalesce(NEW.refund_id, '')
			AND kind = NEW.kind AND fingerprint = NEW.fingerprint);
	SELECT RAISE(ABORT, 'a divergence must begin without an acknowledgement, and be of a payment of the merchant or of its refund')
	WHERE NEW.acknowledged_at IS NOT NULL
		OR NEW.payment_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM payments WHERE payment_id = NEW.payment_id AND merchant_id = NEW.merchant_id)
		OR NEW.refund_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM refunds WHERE refund_id = NEW.refund_id AND payment_id = NEW.payment_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER divergences_update BEFORE UPDATE ON divergences
BEGIN
	SELECT RAISE(ABORT, 'a divergence never changes, except that it is acknowledged once')
	WHERE OLD.acknowledged_at IS NOT NULL OR NEW.acknowledged_at IS NULL
		OR (NEW.divergence_id, NEW.payment_id, NEW.refund_id, NEW.merchant_id, NEW.kind, NEW.status_here, NEW.status_there, NEW.detected_at, NEW.detected_by, NEW.evidence, NEW.fingerprint, NEW.processor, NEW.processor_record_id)
		IS NOT (OLD.divergence_id, OLD.payment_id, OLD.refund_id, OLD.merchant_id, OLD.kind, OLD.status_here, OLD.status_there, OLD.detected_at, OLD.detected_by, OLD.evidence, OLD.fingerprint, OLD.processor, OLD.processor_record_id);
END;
-- +goose StatementEnd

CREATE INDEX refunds_of_processor ON refunds (processor, created_at, refund_id);

-- What an operator has resolved as succeeded without an id of the processor.
CREATE INDEX payments_unidentified ON payments (processor, created_at, payment_id) WHERE status = 'succeeded' AND coalesce(processor_payment_id, '') = '';
CREATE INDEX refunds_unidentified ON refunds (processor, created_at, refund_id) WHERE status = 'succeeded' AND coalesce(processor_refund_id, '') = '';
