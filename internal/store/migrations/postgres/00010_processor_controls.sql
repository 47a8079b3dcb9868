-- What operators have decided about the calls to each processor, and how the workers share the rate of these calls.

-- +goose Up

-- One row for each processor that a worker was ever configured with. rate is the calls per second of all workers together that an
-- operator has set; NULL: as the workers are configured. A trigger appends each change as an event. The row is also the lock under
-- which workers renew their shares.
CREATE TABLE processor_controls (
	processor  text COLLATE "C" NOT NULL PRIMARY KEY CONSTRAINT processor_controls_processor CHECK (length(processor) BETWEEN 1 AND 64),
	paused     boolean NOT NULL DEFAULT false,
	rate       double precision CONSTRAINT processor_controls_rate CHECK (rate > 0 AND rate <= 1000000),
	changed_by text NOT NULL DEFAULT 'worker' CONSTRAINT processor_controls_by CHECK (length(changed_by) BETWEEN 1 AND 100),
	reason     text NOT NULL DEFAULT 'as configured' CONSTRAINT processor_controls_reason CHECK (length(reason) BETWEEN 1 AND 500),
	revision   bigint NOT NULL DEFAULT 0,
	at         timestamptz NOT NULL
);

CREATE TABLE processor_control_events (
	processor  text COLLATE "C" NOT NULL REFERENCES processor_controls (processor),
	revision   bigint NOT NULL,
	paused     boolean NOT NULL,
	rate       double precision,
	changed_by text NOT NULL,
	reason     text NOT NULL,
	at         timestamptz NOT NULL,
	PRIMARY KEY (processor, revision)
);

CREATE TRIGGER processor_controls_keep BEFORE DELETE OR TRUNCATE ON processor_controls
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the controls of processors are never deleted');
CREATE TRIGGER processor_control_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON processor_control_events
	FOR EACH STATEMENT EXECUTE FUNCTION florin_refuse('the events of controls are never changed or deleted');

-- +goose StatementBegin
CREATE FUNCTION processor_control_events_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM processor_controls WHERE processor = NEW.processor AND revision > 0
		AND (revision, paused, rate, changed_by, reason, at) IS NOT DISTINCT FROM (NEW.revision, NEW.paused, NEW.rate, NEW.changed_by, NEW.reason, NEW.at)) THEN
		RAISE EXCEPTION 'event % of processor % did not happen', NEW.revision, NEW.processor USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER processor_control_events_append BEFORE INSERT ON processor_control_events
	FOR EACH ROW EXECUTE FUNCTION processor_control_events_append();

-- +goose StatementBegin
CREATE FUNCTION processor_controls_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.revision <> 0 OR NEW.paused OR NEW.rate IS NOT NULL THEN
		RAISE EXCEPTION 'processor %: begins as configured, with revision 0', NEW.processor USING ERRCODE = 'FL001';
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER processor_controls_insert BEFORE INSERT ON processor_controls FOR EACH ROW EXECUTE FUNCTION processor_controls_insert();

-- +goose StatementBegin
CREATE FUNCTION processor_controls_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.processor <> OLD.processor OR NEW.revision <> OLD.revision + 1 OR NEW.at < OLD.at THEN
		RAISE EXCEPTION 'processor %: revision counts by one, and at never goes back', OLD.processor USING ERRCODE = 'FL001';
	END IF;
	INSERT INTO processor_control_events (processor, revision, paused, rate, changed_by, reason, at)
		VALUES (NEW.processor, NEW.revision, NEW.paused, NEW.rate, NEW.changed_by, NEW.reason, NEW.at);
	RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER processor_controls_update AFTER UPDATE ON processor_controls FOR EACH ROW EXECUTE FUNCTION processor_controls_update();

-- The share of each running worker in the rate of a processor. rate and burst are reserved for the worker: it uses at most as much until
-- lease_until, by the clock of the database. since is when the worker began to renew its share without a gap. renewals numbers the
-- renewals of a worker, so that one that commits late has no effect. configured_rate and configured_burst are what its configuration allows
-- all workers together; a rate of 0 is no limit. The rows of workers that have ended are deleted.
CREATE TABLE rate_shares (
	processor        text COLLATE "C" NOT NULL REFERENCES processor_controls (processor),
	worker           text COLLATE "C" NOT NULL CONSTRAINT rate_shares_worker CHECK (length(worker) BETWEEN 1 AND 200),
	configured_rate  double precision NOT NULL CONSTRAINT rate_shares_configured_rate CHECK (configured_rate >= 0),
	configured_burst bigint NOT NULL CONSTRAINT rate_shares_configured_burst CHECK (configured_burst >= 1),
	demand           double precision NOT NULL CONSTRAINT rate_shares_demand CHECK (demand >= 0),
	rate             double precision NOT NULL CONSTRAINT rate_shares_rate CHECK (rate >= 0),
	burst            bigint NOT NULL CONSTRAINT rate_shares_burst CHECK (burst >= 0),
	renewals         bigint NOT NULL,
	applied_revision bigint NOT NULL,
	since            timestamptz NOT NULL,
	lease_until      timestamptz NOT NULL,
	PRIMARY KEY (processor, worker)
);
