-- The order of a list of refunds at a processor. New rows are inserted in one place for each processor.

-- +goose Up

CREATE INDEX refunds_list ON refunds (processor, created_at, refund_id);
