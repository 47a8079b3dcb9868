-- A payment that waits for a capture, a void or a customer may get lost on the way to it, and an authorized one may turn
-- out to be whatever a processor says.

-- +goose Up

INSERT INTO transitions (kind, from_status, to_status) VALUES
	('payment', 'requires_action', 'unknown'),
	('payment', 'pending', 'unknown'),
	('payment', 'authorized', 'requires_action'),
	('payment', 'authorized', 'pending'),
	('payment', 'authorized', 'declined');
