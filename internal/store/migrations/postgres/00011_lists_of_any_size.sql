-- The indexes for lists and for the backlog. With these, each list reads as many rows as it returns, however many payments there are.

-- +goose Up

-- One index for each combination of the filters for merchant and processor, in the order of a list. All of them have the status: a list
-- of several statuses, or of all, is merged from a list for each. The other filters are part of one text, so that exactly one index
-- fits a list: statistics about rare merchants, which are often wrong, must not decide which one is read. No merchant, processor or status
-- has a slash. The status comes last and creation last of all, so that new rows are inserted in a few places of each index only.
CREATE INDEX payments_list ON payments (status, created_at, payment_id);
CREATE INDEX payments_list_of_merchant ON payments ((merchant_id || '/' || status), created_at, payment_id);
CREATE INDEX payments_list_of_processor ON payments ((processor || '/' || status), created_at, payment_id);
CREATE INDEX payments_list_of_both ON payments ((merchant_id || '/' || processor || '/' || status), created_at, payment_id);
DROP INDEX payments_of_merchant, payments_by_time, payments_by_status, payments_of_merchant_by_status, payments_by_processor;

-- What waits, by how long it has its status. Few rows at any time.
CREATE INDEX payments_open ON payments (status, processor, coalesce(status_since, created_at))
	WHERE status IN ('processing', 'requires_action', 'pending', 'authorized', 'unknown', 'needs_reconciliation');
DROP INDEX refunds_open;
CREATE INDEX refunds_open ON refunds (status, processor, coalesce(status_since, created_at))
	WHERE status IN ('processing', 'pending', 'unknown', 'needs_reconciliation');

-- Every payment leaves the status processing, and its index entry there stays until a vacuum: a list of the payments in this status reads past
-- them. By default, PostgreSQL would vacuum a table of ten million payments after two million changes only.
ALTER TABLE payments SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000,
	autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
