-- The outcome of a payment may become unknown while it waits for a capture, a void or a customer. A processor may report any
-- other status for an authorized payment.

-- +goose Up

INSERT INTO transitions (kind, from_status, to_status) VALUES
	('payment', 'requires_action', 'unknown'),
	('payment', 'pending', 'unknown'),
	('payment', 'authorized', 'requires_action'),
	('payment', 'authorized', 'pending'),
	('payment', 'authorized', 'declined');
