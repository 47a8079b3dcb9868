-- An index for each filter of a list, in the order of the list. payments_of_merchant, payments_by_time and divergences_open are the
-- others. payments_open served lists of open payments and their count, for which payments_by_status is as good.

-- +goose Up

CREATE INDEX payments_by_status ON payments (status, created_at, payment_id);
CREATE INDEX payments_of_merchant_by_status ON payments (merchant_id, status, created_at, payment_id);
CREATE INDEX payments_by_processor ON payments (processor, created_at, payment_id);
DROP INDEX payments_open;
