-- A change of a refund adds the difference to the amounts of its payment: summing all of its refunds took longer with each of them. The
-- amounts of existing payments are these sums already, as payments_update has checked at every change.

-- +goose Up

-- +goose StatementBegin
-- Its owner changes the amounts: a worker's role may not, except through its refunds. refunds_lock has locked the payment, and the
-- constraints of payments check the amounts.
CREATE FUNCTION refunds_count() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
	refunded bigint := 0;
	reserved bigint := 0;
BEGIN
	IF TG_RELID <> 'refunds'::regclass THEN
		RAISE EXCEPTION 'refunds_count is for refunds only' USING ERRCODE = 'FL001';
	END IF;
	IF TG_OP = 'UPDATE' THEN
		IF OLD.status = 'succeeded' THEN
			refunded := -OLD.amount;
		ELSIF OLD.status NOT IN ('declined', 'failed') THEN
			reserved := -OLD.amount;
		END IF;
	END IF;
	IF NEW.status = 'succeeded' THEN
		refunded := refunded + NEW.amount;
	ELSIF NEW.status NOT IN ('declined', 'failed') THEN
		reserved := reserved + NEW.amount;
	END IF;
	IF refunded <> 0 OR reserved <> 0 THEN
		UPDATE payments SET refunded_amount = refunded_amount + refunded, reserved_amount = reserved_amount + reserved
			WHERE payment_id = NEW.payment_id;
	END IF;
	RETURN NULL;
END $$;
-- +goose StatementEnd
-- Whoever may execute it could attach it to a table of their own.
REVOKE EXECUTE ON FUNCTION refunds_count() FROM PUBLIC;
CREATE TRIGGER refunds_count AFTER INSERT OR UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION refunds_count();

-- +goose StatementBegin
-- Replaces the function of 00001. refunds_count changes the amounts now.
CREATE OR REPLACE FUNCTION refunds_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.revision <> 1 OR NEW.status <> 'processing' OR NEW.processor_refund_id IS NOT NULL THEN
		RAISE EXCEPTION 'refund % must begin as processing', NEW.refund_id USING ERRCODE = 'FL001';
	END IF;
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, 1, NEW.created_at, NULL, NEW.status, NEW.amount, NULL, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Replaces the function of 00004. refunds_count changes the amounts now.
CREATE OR REPLACE FUNCTION refunds_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.refund_id, NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.created_at)
		IS DISTINCT FROM (OLD.refund_id, OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.created_at) THEN
		RAISE EXCEPTION 'refund %: what was asked for, by whom and of which processor never changes', OLD.refund_id USING ERRCODE = 'FL001';
	END IF;
	IF NEW.revision <> OLD.revision + 1 OR NEW.updated_at < OLD.updated_at THEN
		RAISE EXCEPTION 'refund %: a change needs revision = revision + 1, cause_by and cause_evidence, and an updated_at that does not go back', OLD.refund_id USING ERRCODE = 'FL001';
	END IF;
	IF NOT (NEW.status = OLD.status AND OLD.status NOT IN ('succeeded', 'declined', 'failed')
		OR EXISTS (SELECT FROM transitions WHERE kind = 'refund' AND from_status = OLD.status AND to_status = NEW.status)) THEN
		RAISE EXCEPTION 'refund %: illegal transition from % to %', OLD.refund_id, OLD.status, NEW.status USING ERRCODE = 'FL001';
	END IF;
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.amount, NEW.processor_refund_id, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
DROP FUNCTION payments_sum_refunds(text);

-- +goose StatementBegin
-- Replaces the function of 00001. That the amounts follow from the refunds was checked by summing them. Now only a trigger, which is
-- refunds_count, may change them. A worker's role lacks the privilege in any case.
CREATE OR REPLACE FUNCTION payments_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.payment_id, NEW.merchant_id, NEW.idempotency_key, NEW.fingerprint, NEW.amount, NEW.currency, NEW.processor, NEW.payment_method, NEW.created_at)
		IS DISTINCT FROM (OLD.payment_id, OLD.merchant_id, OLD.idempotency_key, OLD.fingerprint, OLD.amount, OLD.currency, OLD.processor, OLD.payment_method, OLD.created_at) THEN
		RAISE EXCEPTION 'payment %: what was asked for, by whom and of which processor never changes', OLD.payment_id USING ERRCODE = 'FL001';
	END IF;
	IF (NEW.refunded_amount, NEW.reserved_amount) IS DISTINCT FROM (OLD.refunded_amount, OLD.reserved_amount) AND pg_trigger_depth() < 2 THEN
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

-- +goose StatementBegin
-- The functions find Florin's tables whatever the search path of a session is. Otherwise a role could let them check a temporary
-- table of its own, such as one with other transitions, or count refunds in it.
DO $$
DECLARE trigger_function regprocedure;
BEGIN
	FOR trigger_function IN SELECT oid::regprocedure FROM pg_proc
		WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype
			AND proname ~ '^(florin|payments|payment_events|refunds|divergences|processor_controls|processor_control_events|rate_shares)_' LOOP
		EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', trigger_function, current_schema());
	END LOOP;
END $$;
-- +goose StatementEnd
