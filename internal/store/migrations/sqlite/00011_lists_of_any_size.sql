-- The same as postgres/00011_lists_of_any_size.sql, which gives the reasons.

-- +goose Up

CREATE INDEX payments_list ON payments (status, created_at, payment_id);
CREATE INDEX payments_list_of_merchant ON payments (merchant_id || '/' || status, created_at, payment_id);
CREATE INDEX payments_list_of_processor ON payments (processor || '/' || status, created_at, payment_id);
CREATE INDEX payments_list_of_both ON payments (merchant_id || '/' || processor || '/' || status, created_at, payment_id);
DROP INDEX payments_of_merchant;
DROP INDEX payments_by_time;
DROP INDEX payments_by_status;
DROP INDEX payments_of_merchant_by_status;
DROP INDEX payments_by_processor;

CREATE INDEX payments_open ON payments (status, processor, coalesce(status_since, created_at))
	WHERE status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation');
DROP INDEX refunds_open;
CREATE INDEX refunds_open ON refunds (status, processor, coalesce(status_since, created_at))
	WHERE status IN ('processing', 'pending', 'unknown', 'needs_reconciliation');
