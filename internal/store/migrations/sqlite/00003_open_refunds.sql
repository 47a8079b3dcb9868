-- What is open is counted for metrics, as payments_open serves it for payments.

-- +goose Up

CREATE INDEX refunds_open ON refunds (created_at, refund_id) WHERE status IN ('processing', 'pending', 'unknown', 'needs_reconciliation');
