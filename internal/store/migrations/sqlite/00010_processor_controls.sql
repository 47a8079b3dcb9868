-- The same schema as postgres/00010_processor_controls.sql, which describes the tables.

-- +goose Up

CREATE TABLE processor_controls (
	processor  TEXT NOT NULL PRIMARY KEY CONSTRAINT processor_controls_processor CHECK (length(processor) BETWEEN 1 AND 64),
	paused     INTEGER NOT NULL DEFAULT 0 CONSTRAINT processor_controls_paused CHECK (paused IN (0, 1)),
	rate       REAL CONSTRAINT processor_controls_rate CHECK (rate > 0 AND rate <= 1000000),
	changed_by TEXT NOT NULL DEFAULT 'worker' CONSTRAINT processor_controls_by CHECK (length(changed_by) BETWEEN 1 AND 100),
	reason     TEXT NOT NULL DEFAULT 'as configured' CONSTRAINT processor_controls_reason CHECK (length(reason) BETWEEN 1 AND 500),
	revision   INTEGER NOT NULL DEFAULT 0,
	at         TEXT NOT NULL CONSTRAINT processor_controls_at CHECK (at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT, WITHOUT ROWID;

CREATE TABLE processor_control_events (
	processor  TEXT NOT NULL REFERENCES processor_controls (processor),
	revision   INTEGER NOT NULL,
	paused     INTEGER NOT NULL,
	rate       REAL,
	changed_by TEXT NOT NULL,
	reason     TEXT NOT NULL,
	at         TEXT NOT NULL,
	PRIMARY KEY (processor, revision)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER processor_controls_keep BEFORE DELETE ON processor_controls
BEGIN SELECT RAISE(ABORT, 'the controls of processors are never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER processor_control_events_keep BEFORE DELETE ON processor_control_events
BEGIN SELECT RAISE(ABORT, 'the events of controls are never changed or deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER processor_control_events_fixed BEFORE UPDATE ON processor_control_events
BEGIN SELECT RAISE(ABORT, 'the events of controls are never changed or deleted'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER processor_control_events_append BEFORE INSERT ON processor_control_events
BEGIN
	SELECT RAISE(ABORT, 'the events of controls are never changed or deleted')
	WHERE EXISTS (SELECT 1 FROM processor_control_events WHERE processor = NEW.processor AND revision = NEW.revision);
	SELECT RAISE(ABORT, 'this event did not happen')
	WHERE NOT EXISTS (SELECT 1 FROM processor_controls WHERE processor = NEW.processor AND revision > 0
		AND (revision, paused, rate, changed_by, reason, at) IS (NEW.revision, NEW.paused, NEW.rate, NEW.changed_by, NEW.reason, NEW.at));
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER processor_controls_insert BEFORE INSERT ON processor_controls
BEGIN
	-- Skips a known processor. So OR REPLACE does not replace it.
	SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM processor_controls WHERE processor = NEW.processor);
	SELECT RAISE(ABORT, 'a processor begins as configured, with revision 0')
	WHERE NEW.revision <> 0 OR NEW.paused OR NEW.rate IS NOT NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER processor_controls_update AFTER UPDATE ON processor_controls
BEGIN
	SELECT RAISE(ABORT, 'the revision of a processor counts by one, and at never goes back')
	WHERE NEW.processor <> OLD.processor OR NEW.revision <> OLD.revision + 1 OR NEW.at < OLD.at;
	INSERT INTO processor_control_events (processor, revision, paused, rate, changed_by, reason, at)
	VALUES (NEW.processor, NEW.revision, NEW.paused, NEW.rate, NEW.changed_by, NEW.reason, NEW.at);
END;
-- +goose StatementEnd

CREATE TABLE rate_shares (
	processor        TEXT NOT NULL REFERENCES processor_controls (processor),
	worker           TEXT NOT NULL CONSTRAINT rate_shares_worker CHECK (length(worker) BETWEEN 1 AND 200),
	configured_rate  REAL NOT NULL CONSTRAINT rate_shares_configured_rate CHECK (configured_rate >= 0),
	configured_burst INTEGER NOT NULL CONSTRAINT rate_shares_configured_burst CHECK (configured_burst >= 1),
	demand           REAL NOT NULL CONSTRAINT rate_shares_demand CHECK (demand >= 0),
	rate             REAL NOT NULL CONSTRAINT rate_shares_rate CHECK (rate >= 0),
	burst            INTEGER NOT NULL CONSTRAINT rate_shares_burst CHECK (burst >= 0),
	renewals         INTEGER NOT NULL,
	applied_revision INTEGER NOT NULL,
	since            TEXT NOT NULL CONSTRAINT rate_shares_since CHECK (since GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	lease_until      TEXT NOT NULL CONSTRAINT rate_shares_lease_until CHECK (lease_until GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
	PRIMARY KEY (processor, worker)
) STRICT, WITHOUT ROWID;
