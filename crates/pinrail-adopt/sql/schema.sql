-- What every adopted table leans on. Made by the role that adopts, owned by it; the application's role may use it only
-- through views and triggers.
CREATE SCHEMA IF NOT EXISTS pinrail_adopted;

-- One row per table that is adopted or about to be. `shape` is what was found (JSON): what unadopt restores.
CREATE TABLE IF NOT EXISTS pinrail_adopted.tables (
    id bigint PRIMARY KEY,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    state text NOT NULL CHECK (state IN ('prepared', 'adopted')),
    shape text NOT NULL,
    places text NOT NULL,
    reason text NOT NULL,
    by_role text NOT NULL DEFAULT session_user,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (schema_name, table_name)
);

-- Who adopted what and why, and who took it back. Append-only.
CREATE TABLE IF NOT EXISTS pinrail_adopted.history (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_role text NOT NULL DEFAULT session_user,
    act text NOT NULL CHECK (act IN ('adopted', 'unadopted')),
    schema_name text NOT NULL,
    table_name text NOT NULL,
    reason text NOT NULL,
    ledger bigint NOT NULL
);

CREATE OR REPLACE FUNCTION pinrail_adopted.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of adopted tables is append-only';
END $$;
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pinrail_adopted.history
    FOR EACH STATEMENT EXECUTE FUNCTION pinrail_adopted.refuse_change();

-- Data jobs that the ledger was found to have opened, so that it is searched once for each.
CREATE TABLE IF NOT EXISTS pinrail_adopted.jobs (deployment bigint PRIMARY KEY);

-- The uuid in which the store keeps a run's id: `run_` and 26 characters of Crockford's base 32, or a uuid as it is.
CREATE OR REPLACE FUNCTION pinrail_adopted.run_uuid(run text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bits bit varying := B'';
    hex text := '';
BEGIN
    IF run ~ '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$' THEN
        RETURN run::uuid;
    END IF;
    IF run !~ '^run_[0-7][0-9a-hjkmnp-tv-z]{25}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'pinrail.run is no run id: expected `run_` and 26 characters',
            HINT = 'It is the id that Pinrail answers in x-pinrail-run.';
    END IF;
    FOR place IN 5..30 LOOP
        bits := bits || (strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(run, place, 1)) - 1)::bit(5);
    END LOOP;
    FOR word IN 0..3 LOOP
        hex := hex || lpad(to_hex(substring(bits FROM 3 + word * 32 FOR 32)::bit(32)::bigint), 8, '0');
    END LOOP;
    RETURN hex::uuid;
END $$;

-- The deployment of the run that the transaction named, whatever the caller says of it.
CREATE OR REPLACE FUNCTION pinrail_adopted.deployment_of(run text, writes boolean) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_deployment bigint;
    found_stamp text;
BEGIN
    SELECT r.deployment, r.stamp INTO found_deployment, found_stamp
        FROM pinrail.runs r WHERE r.id = pinrail_adopted.run_uuid(run);
    IF found_deployment IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'pinrail.run names a run that Pinrail does not know: ' || run,
            HINT = 'Begin the run first; its id is in x-pinrail-run.';
    END IF;
    IF writes AND found_stamp::jsonb ? 'gate' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a run of a gate keeps nothing: ' || run;
    END IF;
    RETURN found_deployment;
END $$;

-- Whose writes a reader sees besides those that count for everybody; -1 when it named nobody.
CREATE OR REPLACE FUNCTION pinrail_adopted.own() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run text := nullif(current_setting('pinrail.run', true), '');
    job text := nullif(current_setting('pinrail.deployment', true), '');
BEGIN
    IF run IS NULL AND job IS NULL THEN
        RETURN -1;
    ELSIF run IS NOT NULL AND job IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'pinrail.run and pinrail.deployment are both set: name one';
    ELSIF job IS NOT NULL THEN
        RETURN pinrail_adopted.number('pinrail.deployment', job);
    END IF;
    RETURN pinrail_adopted.deployment_of(run, false);
END $$;

-- The ledger entry as of which a reader sees; the greatest number when it named none.
CREATE OR REPLACE FUNCTION pinrail_adopted.at() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named text := nullif(current_setting('pinrail.as_of_ledger', true), '');
BEGIN
    IF named IS NULL THEN
        RETURN 9223372036854775807;
    END IF;
    RETURN pinrail_adopted.number('pinrail.as_of_ledger', named);
END $$;

CREATE OR REPLACE FUNCTION pinrail_adopted.number(setting text, value text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF value !~ '^[0-9]{1,18}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = setting || ' is no number: ' || value;
    END IF;
    RETURN value::bigint;
END $$;

-- The deployment in whose name the transaction writes: its run's, an open data job, or the ground.
CREATE OR REPLACE FUNCTION pinrail_adopted.writer() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own bigint := pinrail_adopted.own();
BEGIN
    IF nullif(current_setting('pinrail.as_of_ledger', true), '') IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction',
            MESSAGE = 'pinrail.as_of_ledger is set: the past cannot be written';
    END IF;
    IF own <= 0 THEN
        RETURN 0;
    ELSIF nullif(current_setting('pinrail.run', true), '') IS NOT NULL THEN
        RETURN pinrail_adopted.deployment_of(current_setting('pinrail.run'), true);
    END IF;
    PERFORM pinrail_adopted.check_job(own);
    RETURN own;
END $$;

-- Refuses what is no open data job.
CREATE OR REPLACE FUNCTION pinrail_adopted.check_job(job bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pinrail.spans s
               WHERE s.deployment = job AND (s.committed IS NOT NULL OR s.retracted IS NOT NULL)) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('deployment %s is closed: nothing more can be written in its name', job);
    END IF;
    IF EXISTS (SELECT FROM pinrail_adopted.jobs j WHERE j.deployment = job) THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pinrail.ledger l
        WHERE l.entry LIKE '%"deployment_opened"%'
          AND l.entry::jsonb #>> '{body,type}' = 'deployment_opened'
          AND l.entry::jsonb #>> '{body,deployment}' = job::text
          AND l.entry::jsonb #>> '{body,ingest}' IS NOT NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('deployment %s is no open data job', job),
            HINT = 'Open one with `pinrail deploy open --ingest NAME`; runs write by pinrail.run.';
    END IF;
    INSERT INTO pinrail_adopted.jobs VALUES (job) ON CONFLICT DO NOTHING;
END $$;

-- The last ledger entry.
CREATE OR REPLACE FUNCTION pinrail_adopted.ledger() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce((SELECT h.ledger_seq FROM pinrail.heads h), 0) $$;

-- What a deployment wrote to adopted tables, or what each did: rows, those that everybody sees now, and rows of
-- others that it replaced or deleted.
CREATE OR REPLACE FUNCTION pinrail_adopted.wrote(only_deployment bigint DEFAULT NULL)
RETURNS TABLE (table_id bigint, schema_name text, table_name text, deployment bigint, status text, written bigint, visible bigint, ended bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    adopted record;
BEGIN
    FOR adopted IN SELECT t.* FROM pinrail_adopted.tables t WHERE t.state = 'adopted' ORDER BY t.id LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %s::bigint, %L::text, %L::text, w.* FROM pinrail_adopted_%s.wrote($1) w',
            adopted.id, adopted.schema_name, adopted.table_name, adopted.id) USING only_deployment;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION
    pinrail_adopted.deployment_of(text, boolean), pinrail_adopted.writer(), pinrail_adopted.check_job(bigint),
    pinrail_adopted.ledger(), pinrail_adopted.wrote(bigint) FROM PUBLIC;
