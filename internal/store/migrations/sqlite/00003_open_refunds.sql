-- The index for counting open refunds for metrics. For payments, payments_open serves this purpose.

-- +goose Up

CREATE INDEX refunds_open ON refunds (created_at, refund_id) WHERE status IN ('processing', 'pending', 'unknown', 'needs_reconciliation');
