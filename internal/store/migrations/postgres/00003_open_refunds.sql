-- The index for counting open refunds for metrics. For payments, payments_open, and later payments_by_status, serves this purpose.

-- +goose Up

CREATE INDEX refunds_open ON refunds (created_at, refund_id) WHERE status IN ('processing', 'pending', 'unknown', 'needs_reconciliation');
