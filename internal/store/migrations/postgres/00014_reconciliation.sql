-- Reconciliation: its runs, what it works on meanwhile, and divergences about what only the processor has.

-- +goose Up

-- One row for each run. The window_to of the last complete run is the watermark: the next run begins before it. A run ends once.
CREATE TABLE reconciliation_runs (
	run_id      text COLLATE "C" NOT NULL PRIMARY KEY CONSTRAINT reconciliation_runs_run_id CHECK (length(run_id) BETWEEN 1 AND 100),
	processor   text COLLATE "C" NOT NULL CONSTRAINT reconciliation_runs_processor CHECK (length(processor) BETWEEN 1 AND 64),
	workflow_id text COLLATE "C" NOT NULL CONSTRAINT reconciliation_runs_workflow_id CHECK (length(workflow_id) BETWEEN 1 AND 255),
	window_from timestamptz NOT NULL,
	window_to   timestamptz NOT NULL,
	started_at  timestamptz NOT NULL,
	ended_at    timestamptz,
	complete    boolean NOT NULL DEFAULT FALSE,
	reason      text NOT NULL DEFAULT '' CONSTRAINT reconciliation_runs_reason CHECK (length(reason) <= 500),
	pages       bigint NOT NULL DEFAULT 0,
	listed      bigint NOT NULL DEFAULT 0,
	compared    bigint NOT NULL DEFAULT 0,
	checked     bigint NOT NULL DEFAULT 0,
	hurried     bigint NOT NULL DEFAULT 0,
	findings    bigint NOT NULL DEFAULT 0,
	CONSTRAINT reconciliation_runs_window CHECK (window_from <= window_to),
	CONSTRAINT reconciliation_runs_ended CHECK (NOT complete OR ended_at IS NOT NULL)
);
CREATE INDEX reconciliation_runs_by_time ON reconciliation_runs (processor, started_at, run_id);
CREATE INDEX reconciliation_runs_complete ON reconciliation_runs (processor, window_to) WHERE complete;

CREATE TRIGGER reconciliation_runs_keep BEFORE DELETE OR TRUNCATE ON reconciliation_runs
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the runs of reconciliation are never deleted');

-- +goose StatementBegin
CREATE FUNCTION reconciliation_runs_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.ended_at IS NOT NULL THEN
		RAISE EXCEPTION 'run % of reconciliation: must begin without an end', NEW.run_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER reconciliation_runs_insert BEFORE INSERT ON reconciliation_runs FOR EACH ROW EXECUTE FUNCTION reconciliation_runs_insert();

-- +goose StatementBegin
CREATE FUNCTION reconciliation_runs_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
		OR (NEW.run_id, NEW.processor, NEW.workflow_id, NEW.window_from, NEW.window_to, NEW.started_at)
		IS DISTINCT FROM (OLD.run_id, OLD.processor, OLD.workflow_id, OLD.window_from, OLD.window_to, OLD.started_at) THEN
		RAISE EXCEPTION 'run % of reconciliation: never changes, except that it ends once', OLD.run_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER reconciliation_runs_update BEFORE UPDATE ON reconciliation_runs FOR EACH ROW EXECUTE FUNCTION reconciliation_runs_update();

-- What the processor has listed in a run. The rows are deleted when the run has ended. record is JSON. It is no jsonb: it is read as it was
-- written.
CREATE TABLE reconciliation_records (
	run_id     text COLLATE "C" NOT NULL REFERENCES reconciliation_runs (run_id),
	operation  text COLLATE "C" NOT NULL CONSTRAINT reconciliation_records_operation CHECK (operation IN ('charge', 'refund')),
	record_id  text COLLATE "C" NOT NULL CONSTRAINT reconciliation_records_record_id CHECK (length(record_id) BETWEEN 1 AND 255),
	reference  text COLLATE "C" NOT NULL,
	created_at timestamptz,
	matched    boolean NOT NULL DEFAULT FALSE,
	record     text NOT NULL,
	PRIMARY KEY (run_id, operation, record_id)
);
CREATE INDEX reconciliation_records_by_reference ON reconciliation_records (run_id, operation, reference);

-- What of a run has to be checked: a difference between a list, which may be older than the store, and the store. round counts the lookups;
-- doubts are what the next one decides, as JSON. The rows are deleted when the run has ended.
CREATE TABLE reconciliation_checks (
	run_id      text COLLATE "C" NOT NULL REFERENCES reconciliation_runs (run_id),
	operation   text COLLATE "C" NOT NULL CONSTRAINT reconciliation_checks_operation CHECK (operation IN ('charge', 'refund')),
	subject_id  text COLLATE "C" NOT NULL CONSTRAINT reconciliation_checks_subject_id CHECK (length(subject_id) BETWEEN 1 AND 300),
	merchant_id text COLLATE "C" NOT NULL,
	record_id   text COLLATE "C" NOT NULL,
	round       bigint NOT NULL DEFAULT 0,
	doubts      text NOT NULL DEFAULT '[]',
	done        boolean NOT NULL DEFAULT FALSE,
	PRIMARY KEY (run_id, operation, subject_id)
);
CREATE INDEX reconciliation_checks_open ON reconciliation_checks (run_id, round, operation, subject_id) WHERE NOT done;

-- A divergence may be about a record of the processor that belongs to no payment. Then it has no payment and no merchant.
ALTER TABLE divergences ALTER COLUMN payment_id DROP NOT NULL;
ALTER TABLE divergences ALTER COLUMN merchant_id DROP NOT NULL;
ALTER TABLE divergences DROP CONSTRAINT divergences_status_here;
ALTER TABLE divergences ADD CONSTRAINT divergences_status_here CHECK (length(status_here) <= 64 AND (length(status_here) > 0 OR payment_id IS NULL));
ALTER TABLE divergences DROP CONSTRAINT divergences_kind;
ALTER TABLE divergences ADD CONSTRAINT divergences_kind CHECK (kind IN ('status', 'amount', 'captured', 'refunded', 'dispute', 'refund_status',
	'missing_here', 'missing_there', 'currency', 'duplicate_reference', 'refund_missing_here', 'refund_missing_there', 'unreadable'));
ALTER TABLE divergences ADD COLUMN processor text COLLATE "C" CONSTRAINT divergences_processor CHECK (length(processor) BETWEEN 1 AND 64);
ALTER TABLE divergences ADD COLUMN processor_record_id text COLLATE "C" CONSTRAINT divergences_processor_record_id CHECK (length(processor_record_id) BETWEEN 1 AND 255);
ALTER TABLE divergences ADD COLUMN acknowledged_reason text CONSTRAINT divergences_acknowledged_reason CHECK (length(acknowledged_reason) BETWEEN 1 AND 500);
ALTER TABLE divergences ADD CONSTRAINT divergences_merchant CHECK ((payment_id IS NULL) = (merchant_id IS NULL));
ALTER TABLE divergences ADD CONSTRAINT divergences_acknowledged_why CHECK (acknowledged_reason IS NULL OR acknowledged_at IS NOT NULL);

-- Its trigger permits acknowledgements only.
ALTER TABLE divergences DISABLE TRIGGER divergences_update;
UPDATE divergences SET processor = (SELECT processor FROM payments WHERE payments.payment_id = divergences.payment_id);
ALTER TABLE divergences ENABLE TRIGGER divergences_update;
ALTER TABLE divergences ALTER COLUMN processor SET NOT NULL;
ALTER TABLE divergences ADD CONSTRAINT divergences_about CHECK (payment_id IS NOT NULL OR processor_record_id IS NOT NULL);

DROP INDEX divergences_once;
CREATE UNIQUE INDEX divergences_once ON divergences (coalesce(payment_id, ''), coalesce(refund_id, ''), kind, fingerprint);
CREATE INDEX divergences_of_payment ON divergences (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX divergences_of_processor ON divergences (processor, detected_at, divergence_id);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION divergences_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.acknowledged_at IS NOT NULL
		OR NEW.payment_id IS NOT NULL AND NOT EXISTS (SELECT FROM payments WHERE payment_id = NEW.payment_id AND merchant_id = NEW.merchant_id)
		OR NEW.refund_id IS NOT NULL AND NOT EXISTS (SELECT FROM refunds WHERE refund_id = NEW.refund_id AND payment_id = NEW.payment_id) THEN
		RAISE EXCEPTION 'divergence %: must begin without an acknowledgement, and be of a payment of the merchant or of its refund', NEW.divergence_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION divergences_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.acknowledged_at IS NOT NULL OR NEW.acknowledged_at IS NULL
		OR (NEW.divergence_id, NEW.payment_id, NEW.refund_id, NEW.merchant_id, NEW.kind, NEW.status_here, NEW.status_there, NEW.detected_at, NEW.detected_by, NEW.evidence, NEW.fingerprint, NEW.processor, NEW.processor_record_id)
		IS DISTINCT FROM (OLD.divergence_id, OLD.payment_id, OLD.refund_id, OLD.merchant_id, OLD.kind, OLD.status_here, OLD.status_there, OLD.detected_at, OLD.detected_by, OLD.evidence, OLD.fingerprint, OLD.processor, OLD.processor_record_id) THEN
		RAISE EXCEPTION 'divergence %: never changes, except that it is acknowledged once', OLD.divergence_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd

-- The refunds of a processor in the order in which they were created.
CREATE INDEX refunds_of_processor ON refunds (processor, created_at, refund_id);

-- What an operator has resolved as succeeded without an id of the processor.
CREATE INDEX payments_unidentified ON payments (processor, created_at, payment_id) WHERE status = 'succeeded' AND coalesce(processor_payment_id, '') = '';
CREATE INDEX refunds_unidentified ON refunds (processor, created_at, refund_id) WHERE status = 'succeeded' AND coalesce(processor_refund_id, '') = '';

-- +goose StatementBegin
-- As in 00012: replacing a function has removed its search path, and a new one has none.
DO $$
DECLARE trigger_function text;
BEGIN
	FOREACH trigger_function IN ARRAY ARRAY['divergences_insert', 'divergences_update', 'reconciliation_runs_insert', 'reconciliation_runs_update'] LOOP
		EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', trigger_function, current_schema());
	END LOOP;
END $$;
-- +goose StatementEnd
