-- The same as postgres/00016_list_of_refunds.sql, which gives the reason.

-- +goose Up

CREATE INDEX refunds_list ON refunds (processor, created_at, refund_id);
