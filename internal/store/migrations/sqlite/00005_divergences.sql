-- The same schema as postgres/00005_divergences.sql, which describes the table.

-- +goose Up

CREATE TABLE divergences (
	divergence_id   TEXT NOT NULL PRIMARY KEY,
	payment_id      TEXT NOT NULL REFERENCES payments (payment_id),
	refund_id       TEXT REFERENCES refunds (refund_id),
	merchant_id     TEXT NOT NULL,
	kind            TEXT NOT NULL CONSTRAINT divergences_kind CHECK (kind IN ('status', 'amount', 'captured', 'refunded',
		'dispute', 'refund_status')),
	status_here     TEXT NOT NULL CONSTRAINT divergences_status_here CHECK (length(status_here) BETWEEN 1 AND 64),
	status_there    TEXT NOT NULL CONSTRAINT divergences_status_there CHECK (length(status_there) <= 64),
	detected_at     TEXT NOT NULL CONSTRAINT divergences_detected_at CHECK (detected_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	detected_by     TEXT NOT NULL CONSTRAINT divergences_detected_by CHECK (length(detected_by) BETWEEN 1 AND 100),
	evidence        TEXT NOT NULL CONSTRAINT divergences_evidence CHECK (json_type(evidence) = 'object'),
	fingerprint     TEXT NOT NULL CONSTRAINT divergences_fingerprint CHECK (length(fingerprint) BETWEEN 1 AND 128),
	acknowledged_at TEXT CONSTRAINT divergences_acknowledged_at CHECK (acknowledged_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	acknowledged_by TEXT CONSTRAINT divergences_acknowledged_by CHECK (length(acknowledged_by) BETWEEN 1 AND 100),
	CONSTRAINT divergences_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX divergences_once ON divergences (payment_id, coalesce(refund_id, ''), kind, fingerprint);
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
		OR EXISTS (SELECT 1 FROM divergences WHERE payment_id = NEW.payment_id AND coalesce(refund_id, '') = coalesce(NEW.refund_id, '')
			AND kind = NEW.kind AND fingerprint = NEW.fingerprint);
	SELECT RAISE(ABORT, 'a divergence must begin without an acknowledgement, and be of a payment of the merchant or of its refund')
	WHERE NEW.acknowledged_at IS NOT NULL
		OR NOT EXISTS (SELECT 1 FROM payments WHERE payment_id = NEW.payment_id AND merchant_id = NEW.merchant_id)
		OR NEW.refund_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM refunds WHERE refund_id = NEW.refund_id AND payment_id = NEW.payment_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER divergences_update BEFORE UPDATE ON divergences
BEGIN
	SELECT RAISE(ABORT, 'a divergence never changes, except that it is acknowledged once')
	WHERE OLD.acknowledged_at IS NOT NULL OR NEW.acknowledged_at IS NULL
		OR (NEW.divergence_id, NEW.payment_id, NEW.refund_id, NEW.merchant_id, NEW.kind, NEW.status_here, NEW.status_there, NEW.detected_at, NEW.detected_by, NEW.evidence, NEW.fingerprint)
		IS NOT (OLD.divergence_id, OLD.payment_id, OLD.refund_id, OLD.merchant_id, OLD.kind, OLD.status_here, OLD.status_there, OLD.detected_at, OLD.detected_by, OLD.evidence, OLD.fingerprint);
END;
-- +goose StatementEnd
