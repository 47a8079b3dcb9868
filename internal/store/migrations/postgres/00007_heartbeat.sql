-- The row that each worker updates from time to time, to find out whether the database accepts writes.

-- +goose Up

CREATE TABLE heartbeat (
	id integer NOT NULL PRIMARY KEY CONSTRAINT heartbeat_one_row CHECK (id = 1),
	at timestamptz NOT NULL
);
INSERT INTO heartbeat (id, at) VALUES (1, '2000-01-01T00:00:00Z');
