-- The same as postgres/00006_list_indexes.sql, which gives the reasons.

-- +goose Up

CREATE INDEX payments_by_status ON payments (status, created_at, payment_id);
CREATE INDEX payments_of_merchant_by_status ON payments (merchant_id, status, created_at, payment_id);
CREATE INDEX payments_by_processor ON payments (processor, created_at, payment_id);
DROP INDEX payments_open;
