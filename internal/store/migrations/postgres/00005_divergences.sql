-- Contradictions between a payment or refund here and at its processor, found after its status became final. Rows are only added,
-- and acknowledged once.

-- +goose Up

-- fingerprint identifies the contradiction, whenever and by whatever it is seen.
CREATE TABLE divergences (
	divergence_id   text COLLATE "C" NOT NULL PRIMARY KEY,
	payment_id      text COLLATE "C" NOT NULL REFERENCES payments (payment_id),
	refund_id       text COLLATE "C" REFERENCES refunds (refund_id),
	merchant_id     text COLLATE "C" NOT NULL,
	kind            text COLLATE "C" NOT NULL CONSTRAINT divergences_kind CHECK (kind IN ('status', 'amount', 'captured', 'refunded',
		'dispute', 'refund_status')),
	status_here     text COLLATE "C" NOT NULL CONSTRAINT divergences_status_here CHECK (length(status_here) BETWEEN 1 AND 64),
	status_there    text COLLATE "C" NOT NULL CONSTRAINT divergences_status_there CHECK (length(status_there) <= 64),
	detected_at     timestamptz NOT NULL,
	detected_by     text NOT NULL CONSTRAINT divergences_detected_by CHECK (length(detected_by) BETWEEN 1 AND 100),
	evidence        jsonb NOT NULL CONSTRAINT divergences_evidence CHECK (jsonb_typeof(evidence) = 'object'),
	fingerprint     text COLLATE "C" NOT NULL CONSTRAINT divergences_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	acknowledged_at timestamptz,
	acknowledged_by text CONSTRAINT divergences_acknowledged_by CHECK (length(acknowledged_by) BETWEEN 1 AND 100),
	CONSTRAINT divergences_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
CREATE UNIQUE INDEX divergences_once ON divergences (payment_id, coalesce(refund_id, ''), kind, fingerprint);
CREATE INDEX divergences_by_time ON divergences (detected_at, divergence_id);
CREATE INDEX divergences_open ON divergences (detected_at, divergence_id) WHERE acknowledged_at IS NULL;

CREATE TRIGGER divergences_keep BEFORE DELETE OR TRUNCATE ON divergences
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('divergences are never deleted');

-- +goose StatementBegin
CREATE FUNCTION divergences_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.acknowledged_at IS NOT NULL
		OR NOT EXISTS (SELECT FROM payments WHERE payment_id = NEW.payment_id AND merchant_id = NEW.merchant_id)
		OR NEW.refund_id IS NOT NULL AND NOT EXISTS (SELECT FROM refunds WHERE refund_id = NEW.refund_id AND payment_id = NEW.payment_id) THEN
		RAISE EXCEPTION 'divergence %: must begin without an acknowledgement, and be of a payment of the merchant or of its refund', NEW.divergence_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER divergences_insert BEFORE INSERT ON divergences FOR EACH ROW EXECUTE FUNCTION divergences_insert();

-- +goose StatementBegin
CREATE FUNCTION divergences_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.acknowledged_at IS NOT NULL OR NEW.acknowledged_at IS NULL
		OR (NEW.divergence_id, NEW.payment_id, NEW.refund_id, NEW.merchant_id, NEW.kind, NEW.status_here, NEW.status_there, NEW.detected_at, NEW.detected_by, NEW.evidence, NEW.fingerprint)
		IS DISTINCT FROM (OLD.divergence_id, OLD.payment_id, OLD.refund_id, OLD.merchant_id, OLD.kind, OLD.status_here, OLD.status_there, OLD.detected_at, OLD.detected_by, OLD.evidence, OLD.fingerprint) THEN
		RAISE EXCEPTION 'divergence %: never changes, except that it is acknowledged once', OLD.divergence_id USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER divergences_update BEFORE UPDATE ON divergences FOR EACH ROW EXECUTE FUNCTION divergences_update();
