-- The same as postgres/00012_refunds_by_difference.sql, which gives the reasons. SQLite has no privileges: a process that may write the
-- file may also drop the triggers. refund_changes shows that a change of the amounts was intended.

-- +goose Up

ALTER TABLE payments ADD COLUMN refund_changes INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER payments_sums;
-- +goose StatementBegin
CREATE TRIGGER payments_sums AFTER UPDATE OF refunded_amount, reserved_amount ON payments
WHEN (NEW.refunded_amount, NEW.reserved_amount) IS NOT (OLD.refunded_amount, OLD.reserved_amount) AND NEW.refund_changes <> OLD.refund_changes + 1
BEGIN
	SELECT RAISE(ABORT, 'refunded_amount and reserved_amount are the sums over the refunds of a payment');
END;
-- +goose StatementEnd

-- The check comes first: a constraint that fails during OR IGNORE or OR FAIL would keep the refund without its amount.
DROP TRIGGER refunds_insert_sums;
-- +goose StatementBegin
CREATE TRIGGER refunds_insert_sums AFTER INSERT ON refunds
BEGIN
	SELECT RAISE(ABORT, 'CHECK constraint failed: payments_refunds_within_captured')
	WHERE (SELECT refunded_amount + reserved_amount + NEW.amount > captured_amount FROM payments WHERE payment_id = NEW.payment_id);
	UPDATE payments SET reserved_amount = reserved_amount + NEW.amount, refund_changes = refund_changes + 1 WHERE payment_id = NEW.payment_id;
END;
-- +goose StatementEnd

DROP TRIGGER refunds_update_sums;
-- +goose StatementBegin
CREATE TRIGGER refunds_update_sums AFTER UPDATE OF status ON refunds WHEN NEW.status <> OLD.status
BEGIN
	SELECT RAISE(ABORT, 'CHECK constraint failed: payments_refunds_within_captured')
	WHERE OLD.status IN ('declined', 'failed') AND NEW.status NOT IN ('declined', 'failed')
		AND (SELECT refunded_amount + reserved_amount + NEW.amount > captured_amount FROM payments WHERE payment_id = NEW.payment_id);
	UPDATE payments SET
		refunded_amount = refunded_amount + NEW.amount * ((NEW.status = 'succeeded') - (OLD.status = 'succeeded')),
		reserved_amount = reserved_amount + NEW.amount * ((NEW.status NOT IN ('succeeded', 'declined', 'failed')) - (OLD.status NOT IN ('succeeded', 'declined', 'failed'))),
		refund_changes = refund_changes + 1
	WHERE payment_id = NEW.payment_id;
END;
-- +goose StatementEnd
