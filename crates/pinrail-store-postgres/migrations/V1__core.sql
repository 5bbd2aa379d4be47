-- oldest: 1
-- What several replicas keep together. Times are Unix milliseconds, digests 32 bytes, run ids uuids (they begin with 48 bits
-- of their time, so they sort by it). JSON is text in the domain's own form: the columns beside it exist to be searched, and
-- whoever reads a run or an entry reads the JSON.

-- Where everything stands: one row. Appends to the ledger and to state lock it FOR UPDATE, so both have one order, and
-- whoever sees a place sees all the places before it.
CREATE TABLE pinrail.heads (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- The last entry's place and hash; zeros at the start.
    ledger_seq  bigint NOT NULL DEFAULT 0,
    ledger_hash bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    epoch       bigint NOT NULL DEFAULT 0,
    -- The last place given to a record. Removal leaves it alone.
    state_seq   bigint NOT NULL DEFAULT 0,
    -- The newest leader's term. Here, so that an append compares it under the lock that it needs anyway.
    term        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO pinrail.heads DEFAULT VALUES;

CREATE TABLE pinrail.artifacts (
    digest bytea PRIMARY KEY,
    bytes  bytea NOT NULL
);
-- Mostly text that was hashed already: compressing it again when it is read costs more than it saves.
ALTER TABLE pinrail.artifacts ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE pinrail.ledger (
    seq   bigint PRIMARY KEY,
    hash  bytea  NOT NULL,
    -- When it was appended, as the entry says.
    at    bigint NOT NULL,
    entry text   NOT NULL
);
CREATE INDEX ledger_by_time ON pinrail.ledger (at);

-- Which deployments count, and since which entry: what `view::Commits` says. A rollback is one row, whatever it hides.
CREATE TABLE pinrail.spans (
    deployment bigint PRIMARY KEY,
    committed  bigint,
    retracted  bigint
);

-- Records that entries hide along with a deployment's, because they were derived from them.
CREATE TABLE pinrail.cascades (
    at              bigint NOT NULL,
    from_deployment bigint NOT NULL,
    first           bigint NOT NULL,
    last            bigint NOT NULL,
    PRIMARY KEY (at, from_deployment, first)
);

CREATE TABLE pinrail.runs (
    id         uuid     NOT NULL PRIMARY KEY,
    agent      text COLLATE "C"     NOT NULL,
    tenant     text COLLATE "C"     NOT NULL,
    session    text COLLATE "C",
    single     boolean  NOT NULL,
    deployment bigint   NOT NULL,
    release    bytea    NOT NULL,
    started_at bigint   NOT NULL,
    -- The stamp, and whether the run began queued: event 0 is made of them and isn't stored again.
    queued     boolean  NOT NULL,
    -- The live run of whose request this one answers a copy.
    shadow     uuid,
    -- The replica that stamped it; zero where there is one alone.
    replica    bigint   NOT NULL DEFAULT 0,
    stamp      text     NOT NULL,
    -- What changes with the run's events. The outcome is the summary's: 0 ok, 1 error, 2 cancelled.
    status     smallint NOT NULL,
    outcome    smallint,
    summary    text     NOT NULL
) PARTITION BY RANGE (id);

-- Lists, newest first without sorting.
CREATE INDEX runs_by_agent ON pinrail.runs (agent, id);
CREATE INDEX runs_by_deployment ON pinrail.runs (deployment, id);
CREATE INDEX runs_by_release ON pinrail.runs (release, id);
-- A session's runs. Runs without a session cost it nothing.
CREATE INDEX runs_by_session ON pinrail.runs (session, id) WHERE session IS NOT NULL;
-- A tenant's runs. Callers that name no tenant share `default` and cost it nothing.
CREATE INDEX runs_by_tenant ON pinrail.runs (tenant, id) WHERE tenant <> 'default';
-- Exact drain counts. Holds the open runs only (status 4 is finished), so it stays small.
CREATE INDEX runs_open ON pinrail.runs (deployment, status) WHERE status <> 4;
-- Runs that ended badly: few.
CREATE INDEX runs_failed ON pinrail.runs (outcome, id) WHERE outcome <> 0;
-- A replica's runs, where there are several.
CREATE INDEX runs_by_replica ON pinrail.runs (replica, id) WHERE replica <> 0;
-- A deployment's copies. Live runs cost it nothing.
CREATE INDEX runs_shadow ON pinrail.runs (deployment, id) WHERE shadow IS NOT NULL;

CREATE TABLE pinrail.run_events (
    run    uuid   NOT NULL,
    -- The first event's place: one row per write.
    seq    int    NOT NULL,
    -- [[time, event], …]
    events text   NOT NULL,
    PRIMARY KEY (run, seq)
) PARTITION BY RANGE (run);

-- Whatever no partition was made for: ids of strange times, and a day whose partitions couldn't be made in time.
CREATE TABLE pinrail.runs_rest PARTITION OF pinrail.runs DEFAULT;
CREATE TABLE pinrail.run_events_rest PARTITION OF pinrail.run_events DEFAULT;

-- Longer texts are packed, fast where the server can.
DO $$ BEGIN
    ALTER TABLE pinrail.run_events ALTER COLUMN events SET COMPRESSION lz4;
    ALTER TABLE pinrail.run_events_rest ALTER COLUMN events SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- How far the times of runs are from those of their ids, at most, in milliseconds: lets a list by time use the ids. One row.
CREATE TABLE pinrail.run_skew (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- A run began this much later than its id says …
    later  bigint NOT NULL DEFAULT 0,
    -- … or earlier.
    sooner bigint NOT NULL DEFAULT 0
);
INSERT INTO pinrail.run_skew DEFAULT VALUES;

CREATE TABLE pinrail.sessions (
    session    text COLLATE "C"   NOT NULL,
    agent      text COLLATE "C"   NOT NULL,
    tenant     text COLLATE "C"   NOT NULL,
    deployment bigint NOT NULL,
    -- Rises with every binding written.
    written    bigint NOT NULL,
    PRIMARY KEY (session, agent, tenant)
);
CREATE INDEX sessions_by_written ON pinrail.sessions (written);
CREATE SEQUENCE pinrail.sessions_written AS bigint CACHE 1;

-- Which runs each replica wrote, for the others: a row per journal batch, numbered without gaps by whoever wrote it, in the batch's own
-- transaction. Old rows go; the last one of a replica stays.
CREATE TABLE pinrail.run_writes (
    replica bigint      NOT NULL,
    batch   bigint      NOT NULL,
    at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    runs    uuid[]      NOT NULL,
    PRIMARY KEY (replica, batch)
);

CREATE TABLE pinrail.answers (
    key     text COLLATE "C"     NOT NULL,
    caller  text COLLATE "C"     NOT NULL,
    request bytea    NOT NULL,
    status  int      NOT NULL,
    body    text     NOT NULL,
    at      bigint   NOT NULL,
    PRIMARY KEY (key, caller)
);
-- Expiry.
CREATE INDEX answers_by_time ON pinrail.answers (at);

-- What the open transaction may do to history: a row is there only while it does it, so nobody ever sees one. Replicas have no
-- right to it; the functions that do have are few, and each does one thing.
CREATE TABLE pinrail.permits (
    what text PRIMARY KEY
);

-- What a role of replicas may do with a table, for `pinrail migrate --grant`: every migration says it of its tables.
CREATE TABLE pinrail.rights (
    -- A table or a sequence of the schema.
    name text PRIMARY KEY,
    -- As in GRANT. Readers get SELECT of every table.
    app  text NOT NULL
);
INSERT INTO pinrail.rights (name, app) VALUES
    ('migrations', 'SELECT'),
    ('heads', 'SELECT, UPDATE'),
    ('artifacts', 'SELECT, INSERT'),
    ('ledger', 'SELECT, INSERT'),
    ('spans', 'SELECT, INSERT, UPDATE'),
    ('cascades', 'SELECT, INSERT'),
    -- FOR UPDATE needs the right to change one column.
    ('runs', 'SELECT, INSERT, UPDATE (status, outcome, summary)'),
    ('run_events', 'SELECT, INSERT'),
    ('run_skew', 'SELECT, UPDATE'),
    ('sessions', 'SELECT, INSERT, UPDATE'),
    ('sessions_written', 'USAGE'),
    ('run_writes', 'SELECT, INSERT, DELETE'),
    ('answers', 'SELECT, INSERT, DELETE'),
    ('permits', ''),
    ('rights', 'SELECT');

CREATE FUNCTION pinrail.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- Refuses unless the open transaction has the permit that the second argument names.
CREATE FUNCTION pinrail.refuse_unpermitted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pinrail.permits WHERE what = TG_ARGV[1]) THEN
        RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN old; END IF;
    RETURN new;
END $$;

-- Append-only (I8), whoever holds the connection; only dropping the triggers themselves takes more.
CREATE TRIGGER artifacts_keep BEFORE UPDATE OR DELETE ON pinrail.artifacts
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('artifacts never change');
CREATE TRIGGER artifacts_whole BEFORE TRUNCATE ON pinrail.artifacts
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('artifacts never change');
CREATE TRIGGER ledger_keep BEFORE UPDATE OR DELETE ON pinrail.ledger
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('the ledger is append-only');
CREATE TRIGGER ledger_whole BEFORE TRUNCATE ON pinrail.ledger
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('the ledger is append-only');
CREATE TRIGGER runs_keep
BEFORE UPDATE OF id, agent, tenant, session, single, deployment, release, started_at, queued, shadow, replica, stamp ON pinrail.runs
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('a run never changes its stamp');
CREATE TRIGGER runs_whole BEFORE DELETE ON pinrail.runs
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse_unpermitted('runs are append-only', 'retire');
CREATE TRIGGER run_events_keep BEFORE UPDATE OF run, seq ON pinrail.run_events
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('journals are append-only');
CREATE TRIGGER run_events_erase BEFORE UPDATE OF events ON pinrail.run_events
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse_unpermitted('journals are append-only', 'erase');
CREATE TRIGGER run_events_whole BEFORE DELETE ON pinrail.run_events
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse_unpermitted('journals are append-only', 'retire');
-- Heads only rise.
CREATE FUNCTION pinrail.heads_rise() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF new.ledger_seq < old.ledger_seq OR new.epoch < old.epoch OR new.state_seq < old.state_seq
        OR new.term < old.term THEN
        RAISE EXCEPTION 'heads only rise' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER heads_rise BEFORE UPDATE ON pinrail.heads FOR EACH ROW EXECUTE FUNCTION pinrail.heads_rise();
CREATE TRIGGER heads_whole BEFORE DELETE ON pinrail.heads
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('there is one row of heads');

-- Puts rows of events in their places again, without their content; they stay as many. The one way that is left to change a journal,
-- for erasure, which the ledger tells of.
CREATE FUNCTION pinrail.run_events_erase(of_run uuid, at_seq int[], without text[]) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE changed bigint;
BEGIN
    INSERT INTO pinrail.permits (what) VALUES ('erase');
    UPDATE pinrail.run_events e SET events = w.events
    FROM unnest(at_seq, without) AS w (seq, events)
    WHERE e.run = of_run AND e.seq = w.seq
        AND pg_catalog.json_array_length(w.events::json) = pg_catalog.json_array_length(e.events::json);
    GET DIAGNOSTICS changed = ROW_COUNT;
    DELETE FROM pinrail.permits WHERE what = 'erase';
    RETURN changed;
END $$;

-- The first id of a millisecond.
CREATE FUNCTION pinrail.ms_start(ms bigint) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (pg_catalog.lpad(pg_catalog.to_hex(ms), 12, '0') || '00000000000000000000')::uuid
$$;

-- Makes the partitions of a day, where they aren't there. False: another transaction makes them, or the day has runs
-- in the rest already, where they stay. Waits for nobody longer than `lock_timeout`, and everybody goes on meanwhile.
CREATE FUNCTION pinrail.runs_partition(day int) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    suffix text := 'd' || to_char('1970-01-01'::date + day, 'YYYYMMDD');
    part text;
BEGIN
    -- Ids of before 2020 or of a far future are nobody's days.
    IF day NOT BETWEEN 18262 AND 100000 THEN RETURN false; END IF;
    IF NOT pg_try_advisory_xact_lock(7069, day) THEN RETURN false; END IF;
    FOREACH part IN ARRAY ARRAY['run_events', 'runs'] LOOP
        CONTINUE WHEN to_regclass(format('pinrail.%I', part || '_' || suffix)) IS NOT NULL;
        -- A run's row is written once more when it ends: room for that on its page. What was said fits on a page as it is, mostly.
        EXECUTE format('CREATE TABLE pinrail.%I (LIKE pinrail.%I INCLUDING ALL) WITH (fillfactor = %s, toast_tuple_target = 8160)',
            part || '_' || suffix, part, CASE part WHEN 'runs' THEN 80 ELSE 100 END);
        EXECUTE format('ALTER TABLE pinrail.%I ATTACH PARTITION pinrail.%I FOR VALUES FROM (%L) TO (%L)',
            part, part || '_' || suffix, pinrail.ms_start(day * 86400000::bigint), pinrail.ms_start((day + 1) * 86400000::bigint));
    END LOOP;
    RETURN true;
EXCEPTION WHEN lock_not_available OR check_violation OR deadlock_detected THEN
    RETURN false;
END $$;

-- Retires the runs of all days before one, journals and all, by dropping their partitions. A day with an open run stays, and so does
-- what was never given a partition. Tells how many runs went.
CREATE FUNCTION pinrail.runs_drop(before_day int) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    part record;
    found bigint;
    is_open boolean;
    total bigint := 0;
BEGIN
    FOR part IN
        SELECT c.relname AS name, replace(c.relname, 'runs_', 'run_events_') AS events
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'pinrail.runs'::regclass AND c.relname ~ '^runs_d[0-9]{8}$'
            AND to_date(substr(c.relname, 7), 'YYYYMMDD') - '1970-01-01'::date < before_day
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM pinrail.%I', part.name) INTO found;
        -- Parents first, as everybody locks them. No run of the day can begin or end until it is gone.
        LOCK TABLE ONLY pinrail.runs, ONLY pinrail.run_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM pinrail.%I WHERE status <> 4)', part.name) INTO is_open;
        CONTINUE WHEN is_open;
        EXECUTE format('DROP TABLE pinrail.%I', part.name);
        EXECUTE format('DROP TABLE IF EXISTS pinrail.%I', part.events);
        total := total + found;
    END LOOP;
    RETURN total;
END $$;

-- Gives a role what replicas need (`app`) or what readers need (`reader`). For the schema's owner.
CREATE FUNCTION pinrail.grant_to(role text, access text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one record;
    kind text;
BEGIN
    IF access NOT IN ('app', 'reader') THEN RAISE EXCEPTION 'access is app or reader'; END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA pinrail TO %I', role);
    FOR one IN
        SELECT r.name, r.app, c.relkind FROM pinrail.rights r
        JOIN pg_class c ON c.oid = to_regclass(format('pinrail.%I', r.name))
    LOOP
        kind := CASE one.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END;
        IF access = 'app' AND one.app <> '' THEN
            EXECUTE format('GRANT %s ON %s pinrail.%I TO %I', one.app, kind, one.name, role);
        ELSIF access = 'reader' AND kind = 'TABLE' AND one.app <> '' THEN
            EXECUTE format('GRANT SELECT ON pinrail.%I TO %I', one.name, role);
        END IF;
    END LOOP;
    IF access = 'app' THEN
        EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pinrail TO %I', role);
        -- Rights and retention are the owner's.
        EXECUTE format('REVOKE EXECUTE ON FUNCTION pinrail.grant_to(text, text), pinrail.runs_drop(int) FROM %I', role);
    END IF;
END $$;

-- Nobody gets these by being there.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pinrail FROM PUBLIC;
