-- A processor may report a refund as succeeded, and days later as failed. The refund becomes failed, and its amount can be
-- refunded again: payments_sum_refunds leaves failed refunds out.

-- +goose Up

INSERT INTO transitions (kind, from_status, to_status) VALUES ('refund', 'succeeded', 'failed');

-- +goose StatementBegin
-- Replaces the function of 00001: a succeeded refund has a transition now, but is final, so its details still must not change.
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
	PERFORM payments_sum_refunds(NEW.payment_id);
	INSERT INTO payment_events (subject_id, revision, at, from_status, to_status, amount, processor_id, cause_by, evidence)
		VALUES (NEW.refund_id, NEW.revision, NEW.updated_at, OLD.status, NEW.status, NEW.amount, NEW.processor_refund_id, NEW.cause_by, NEW.cause_evidence);
	RETURN NULL;
END $$;
-- +goose StatementEnd
