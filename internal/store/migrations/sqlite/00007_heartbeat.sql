-- The same as postgres/00007_heartbeat.sql, which describes the table.

-- +goose Up

CREATE TABLE heartbeat (
	id INTEGER NOT NULL PRIMARY KEY CONSTRAINT heartbeat_one_row CHECK (id = 1),
	at TEXT NOT NULL
) STRICT;
INSERT INTO heartbeat (id, at) VALUES (1, '2000-01-01T00:00:00.000000Z');
