-- Payments, refunds and their events. The rules in the comment of package store are enforced here, so that they apply to every
-- SQL client.

-- +goose Up

-- The legal transitions. A test compares them with payment.PaymentTransitions and payment.RefundTransitions.
CREATE TABLE transitions (
	kind        text NOT NULL CONSTRAINT transitions_kind CHECK (kind IN ('payment', 'refund')),
	from_status text COLLATE "C" NOT NULL,
	to_status   text COLLATE "C" NOT NULL,
	PRIMARY KEY (kind, from_status, to_status)
);

INSERT INTO transitions (kind, from_status, to_status)
SELECT kind, from_status, unnest(string_to_array(moves, ' ')) FROM (VALUES
	('payment', 'processing', 'requires_action pending authorized succeeded declined failed voided unknown conflicted'),
	('payment', 'unknown', 'requires_action pending authorized succeeded declined failed voided expired needs_reconciliation conflicted'),
	('payment', 'requires_action', 'pending authorized succeeded declined failed voided expired conflicted'),
	('payment', 'pending', 'requires_action authorized succeeded declined failed voided expired conflicted'),
	('payment', 'needs_reconciliation', 'requires_action pending authorized succeeded declined failed voided expired conflicted'),
	('payment', 'authorized', 'succeeded voided expired unknown needs_reconciliation conflicted'),
	('refund', 'processing', 'pending succeeded declined failed unknown needs_reconciliation'),
	('refund', 'unknown', 'pending succeeded declined failed needs_reconciliation'),
	('refund', 'pending', 'succeeded declined failed unknown needs_reconciliation'),
	('refund', 'needs_reconciliation', 'pending succeeded declined failed')
) AS legal (kind, from_status, moves);

-- revision counts the changes of a row, and the cause_ columns describe the latest change. A trigger appends each change as an
-- event. Other triggers update refunded_amount and reserved_amount, which are the sums over the payment's refunds.
CREATE TABLE payments (
	payment_id           text COLLATE "C" NOT NULL PRIMARY KEY,
	merchant_id          text COLLATE "C" NOT NULL CONSTRAINT payments_merchant_id CHECK (length(merchant_id) BETWEEN 1 AND 64),
	idempotency_key      text COLLATE "C" NOT NULL CONSTRAINT payments_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 180),
	fingerprint          text NOT NULL CONSTRAINT payments_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	status               text COLLATE "C" NOT NULL CONSTRAINT payments_status CHECK (status IN ('processing', 'requires_action',
		'pending', 'authorized', 'succeeded', 'declined', 'failed', 'voided', 'expired', 'unknown', 'needs_reconciliation', 'conflicted')),
	amount               bigint NOT NULL CONSTRAINT payments_amount CHECK (amount BETWEEN 1 AND 999999999999),
	currency             text COLLATE "C" NOT NULL CONSTRAINT payments_currency CHECK (currency ~ '^[A-Z]{3}$'),
	captured_amount      bigint NOT NULL DEFAULT 0 CONSTRAINT payments_captured_amount CHECK (captured_amount BETWEEN 0 AND amount),
	refunded_amount      bigint NOT NULL DEFAULT 0 CONSTRAINT payments_refunded_amount CHECK (refunded_amount >= 0),
	reserved_amount      bigint NOT NULL DEFAULT 0 CONSTRAINT payments_reserved_amount CHECK (reserved_amount >= 0),
	processor            text COLLATE "C" NOT NULL CONSTRAINT payments_processor CHECK (length(processor) BETWEEN 1 AND 64),
	processor_payment_id text COLLATE "C" CONSTRAINT payments_processor_payment_id CHECK (length(processor_payment_id) BETWEEN 1 AND 255),
	processor_request_id text CONSTRAINT payments_processor_request_id CHECK (length(processor_request_id) BETWEEN 1 AND 255),
	payment_method       text NOT NULL CONSTRAINT payments_payment_method CHECK (length(payment_method) BETWEEN 1 AND 255),
	decline              jsonb CONSTRAINT payments_decline CHECK (jsonb_typeof(decline) = 'object'),
	failure              jsonb CONSTRAINT payments_failure CHECK (jsonb_typeof(failure) = 'object'),
	created_at           timestamptz NOT NULL,
	updated_at           timestamptz NOT NULL,
	revision             bigint NOT NULL DEFAULT 1,
	cause_by             text NOT NULL CONSTRAINT payments_cause_by CHECK (length(cause_by) BETWEEN 1 AND 100),
	cause_evidence       jsonb NOT NULL CONSTRAINT payments_cause_evidence CHECK (jsonb_typeof(cause_evidence) = 'object'),
	CONSTRAINT payments_refunds_within_captured CHECK (refunded_amount + reserved_amount <= captured_amount),
	CONSTRAINT payments_times CHECK (updated_at >= created_at),
	CONSTRAINT payments_one_per_key UNIQUE (merchant_id, idempotency_key),
	CONSTRAINT payments_one_per_processor_id UNIQUE (processor, processor_payment_id)
);
CREATE INDEX payments_of_merchant ON payments (merchant_id, created_at, payment_id);
CREATE INDEX payments_by_time ON payments (created_at, payment_id);
-- The payments that may need attention: few, so the index is small. 00006 replaces it.
CREATE INDEX payments_open ON payments (created_at, payment_id)
	WHERE status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation', 'conflicted');

CREATE TABLE refunds (
	refund_id           text COLLATE "C" NOT NULL PRIMARY KEY,
	payment_id          text COLLATE "C" NOT NULL REFERENCES payments (payment_id),
	merchant_id         text COLLATE "C" NOT NULL CONSTRAINT refunds_merchant_id CHECK (length(merchant_id) BETWEEN 1 AND 64),
	idempotency_key     text COLLATE "C" NOT NULL CONSTRAINT refunds_idempotency_key CHECK (length(idempotency_key) BETWEEN 1 AND 180),
	fingerprint         text NOT NULL CONSTRAINT refunds_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	status              text COLLATE "C" NOT NULL CONSTRAINT refunds_status CHECK (status IN ('processing', 'pending', 'succeeded',
		'declined', 'failed', 'unknown', 'needs_reconciliation')),
	amount              bigint NOT NULL CONSTRAINT refunds_amount CHECK (amount BETWEEN 1 AND 999999999999),
	currency            text COLLATE "C" NOT NULL CONSTRAINT refunds_currency CHECK (currency ~ '^[A-Z]{3}$'),
	processor           text COLLATE "C" NOT NULL CONSTRAINT refunds_processor CHECK (length(processor) BETWEEN 1 AND 64),
	processor_refund_id text COLLATE "C" CONSTRAINT refunds_processor_refund_id CHECK (length(processor_refund_id) BETWEEN 1 AND 255),
	decline             jsonb CONSTRAINT refunds_decline CHECK (jsonb_typeof(decline) = 'object'),
	failure             jsonb CONSTRAINT refunds_failure CHECK (jsonb_typeof(failure) = 'object'),
	created_at          timestamptz NOT NULL,
	updated_at          timestamptz NOT NULL,
	revision            bigint NOT NULL DEFAULT 1,
	cause_by            text NOT NULL CONSTRAINT refunds_cause_by CHECK (length(cause_by) BETWEEN 1 AND 100),
	cause_evidence      jsonb NOT NULL CONSTRAINT refunds_cause_evidence CHECK (jsonb_typeof(cause_evidence) = 'object'),
	CONSTRAINT refunds_times CHECK (updated_at >= created_at),
	CONSTRAINT refunds_one_per_key UNIQUE (merchant_id, idempotency_key),
	CONSTRAINT refunds_one_per_processor_id UNIQUE (processor, processor_refund_id)
);
CREATE INDEX refunds_of_payment ON refunds (payment_id, created_at, refund_id);

-- The changes of payments and refunds. subject_id is the id of a payment or of a refund.
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
	PRIMARY KEY (subject_id, revision)
);

-- +goose StatementBegin
-- florin_refuse fails a statement that is never allowed. Its argument is the error text.
CREATE FUNCTION florin_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'FL001';
END $$;
-- +goose StatementEnd

CREATE TRIGGER payments_keep BEFORE DELETE OR TRUNCATE ON payments
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('payments are never deleted');
CREATE TRIGGER refunds_keep BEFORE DELETE OR TRUNCATE ON refunds
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('refunds are never deleted');
CREATE TRIGGER payment_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('events are never changed or deleted');

-- +goose StatementBegin
-- An event must match the current row of a payment or refund. This prevents inserting invented events.
CREATE FUNCTION payment_events_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM payments WHERE payment_id = NEW.subject_id AND revision = NEW.revision AND status = NEW.to_status)
		AND NOT EXISTS (SELECT FROM refunds WHERE refund_id = NEW.subject_id AND revision = NEW.revision AND status = NEW.to_status) THEN
		RAISE EXCEPTION 'event % of % did not happen', NEW.revision, NEW.subject_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payment_events_append BEFORE INSERT ON payment_events
	FOR EACH ROW EXECUTE FUNCTION payment_events_append();

-- +goose StatementBegin
CREATE FUNCTION payments_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.revision <> 1 OR NEW.status <> 'processing' OR NEW.captured_amount <> 0 OR NEW.refunded_amount <> 0
		OR NEW.reserved_amount <> 0 OR NEW.processor_payment_id IS NOT NULL THEN
		RAISE EXCEPTION 'payment % must begin as processing, with nothing captured or refunded', NEW.payment_id USING ERRCODE = 'FL001';
	END IF;
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.payment_id, 1, NEW.created_at, NULL, NEW.status, 0, NULL, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_insert AFTER INSERT ON payments FOR EACH ROW EXECUTE FUNCTION payments_insert();

-- +goose StatementBegin
CREATE FUNCTION payments_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.payment_method, NEW.created_at)
		IS DISTINCT FROM (OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.payment_method, OLD.created_at) THEN
		RAISE EXCEPTION 'payment %: what was asked for, by whom and of which processor never changes', OLD.payment_id USING ERRCODE = 'FL001';
	END IF;
	IF (NEW.refunded_amount, NEW.reserved_amount) IS DISTINCT FROM (OLD.refunded_amount, OLD.reserved_amount) AND NOT EXISTS (
		SELECT FROM (
			SELECT coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0) AS refunded,
				coalesce(sum(amount) FILTER (WHERE status NOT IN ('succeeded', 'declined', 'failed')), 0) AS reserved
			FROM refunds WHERE payment_id = NEW.payment_id
		) AS sums WHERE refunded = NEW.refunded_amount AND reserved = NEW.reserved_amount) THEN
		RAISE EXCEPTION 'payment %: refunded_amount and reserved_amount are the sums over its refunds', OLD.payment_id USING ERRCODE = 'FL001';
	END IF;
	IF NEW.revision = OLD.revision THEN
		IF (NEW.status, NEW.captured_amount, NEW.processor_payment_id, NEW.processor_request_id, NEW.decline, NEW.failure, NEW.updated_at, NEW.cause_by, NEW.cause_evidence)
			IS DISTINCT FROM (OLD.status, OLD.captured_amount, OLD.processor_payment_id, OLD.processor_request_id, OLD.decline, OLD.failure, OLD.updated_at, OLD.cause_by, OLD.cause_evidence) THEN
			RAISE EXCEPTION 'payment %: a change needs revision = revision + 1, cause_by and cause_evidence', OLD.payment_id USING ERRCODE = 'FL001';
		END IF;
		RETURN NULL;
	END IF;
	IF NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at THEN
		RAISE EXCEPTION 'payment %: revision counts by one, and updated_at never goes back', OLD.payment_id USING ERRCODE = 'FL001';
	END IF;
	-- A status without transitions is final: not even its details may change.
	IF NOT EXISTS (SELECT FROM transitions WHERE kind = 'payment' AND from_status = OLD.status AND (to_status = NEW.status OR NEW.status = OLD.status)) THEN
		RAISE EXCEPTION 'payment %: illegal transition from % to %', OLD.payment_id, OLD.status, NEW.status USING ERRCODE = 'FL001';
	END IF;
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.payment_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.captured_amount, NEW.processor_payment_id, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payments_update AFTER UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION payments_update();

-- +goose StatementBegin
-- The trigger locks the payment first, so that changes of its refunds run one after the other.
CREATE FUNCTION refunds_lock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE paid record;
BEGIN
	SELECT * INTO paid FROM payments WHERE payment_id = NEW.payment_id FOR UPDATE;
	IF (paid.merchant_id, paid.currency, paid.processor, paid.status) IS DISTINCT FROM (NEW.merchant_id, NEW.currency, NEW.processor, 'succeeded') THEN
		RAISE EXCEPTION 'refund %: not of a succeeded payment of the same merchant, currency and processor', NEW.refund_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refunds_lock BEFORE INSERT OR UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refunds_lock();

-- +goose StatementBegin
-- The constraint payments_refunds_within_captured then checks the sums.
CREATE FUNCTION payments_sum_refunds(id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE payments SET (refunded_amount, reserved_amount) = (
		SELECT coalesce(sum(amount) FILTER (WHERE status = 'succeeded'), 0), coalesce(sum(amount) FILTER (WHERE status NOT IN ('succeeded', 'declined', 'failed')), 0)
		FROM refunds WHERE payment_id = id) WHERE payment_id = id;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION refunds_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.revision <> 1 OR NEW.status <> 'processing' OR NEW.processor_refund_id IS NOT NULL THEN
		RAISE EXCEPTION 'refund % must begin as processing', NEW.refund_id USING ERRCODE = 'FL001';
	END IF;
	PERFORM payments_sum_refunds(NEW.payment_id);
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, 1, NEW.created_at, NULL, NEW.status, NEW.amount, NULL, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refunds_insert AFTER INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION refunds_insert();

-- +goose StatementBegin
CREATE FUNCTION refunds_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.refund_id, NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.created_at)
		IS DISTINCT FROM (OLD.refund_id, OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.created_at) THEN
		RAISE EXCEPTION 'refund %: what was asked for, by whom and of which processor never changes', OLD.refund_id USING ERRCODE = 'FL001';
	END IF;
	IF NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at THEN
		RAISE EXCEPTION 'refund %: a change needs revision = revision + 1, cause_by and cause_evidence, and an updated_at that does not go back', OLD.refund_id USING ERRCODE = 'FL001';
	END IF;
	IF NOT EXISTS (SELECT FROM transitions WHERE kind = 'refund' AND from_status = OLD.status AND (to_status = NEW.status OR NEW.status = OLD.status)) THEN
		RAISE EXCEPTION 'refund %: illegal transition from % to %', OLD.refund_id, OLD.status, NEW.status USING ERRCODE = 'FL001';
	END IF;
	PERFORM payments_sum_refunds(NEW.payment_id);
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.amount, NEW.processor_refund_id, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refunds_update AFTER UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refunds_update();
