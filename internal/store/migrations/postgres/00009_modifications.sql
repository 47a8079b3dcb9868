-- A capture or void is recorded before it is sent, so that a later run of a terminated workflow knows that it may have been executed,
-- and continues it under its own idempotency key. modifications counts those that have ended: it numbers the keys.

-- +goose Up

ALTER TABLE payments ADD COLUMN modification TEXT CHECK (length(modification) BETWEEN 2 AND 1000);
ALTER TABLE payments ADD COLUMN modifications BIGINT NOT NULL DEFAULT 0 CHECK (modifications >= 0);
