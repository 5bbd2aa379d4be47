-- oldest: 1
-- Retention of journals: the days that the ledger names go, each as one piece, and nothing else does. Replicas may ask for it.

-- Drops the runs of a day, journals and all; tells how many went, of which there may be more: ask until it is none. -1: no entry of the
-- ledger says that they are dropped. -2: a run of the day is open.
--
-- Waits for a moment at most, and fails with `lock_not_available` where somebody reads for longer: everybody waits behind it.
CREATE FUNCTION pinrail.runs_collect(of_day int) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    -- Rows of the rest that go in one call: some milliseconds.
    rows_max CONSTANT int := 2000;
    -- Empty days that go with another one: each is a dozen locks.
    empty_max CONSTANT int := 8;
    starts CONSTANT date := '1970-01-01'::date + of_day;
    name CONSTANT text := 'd' || to_char(starts, 'YYYYMMDD');
    first CONSTANT uuid := pinrail.ms_start(of_day * 86400000::bigint);
    beyond CONSTANT uuid := pinrail.ms_start((of_day + 1) * 86400000::bigint);
    gone bigint := 0;
    ids uuid[];
    is_open boolean;
    is_there boolean;
    part record;
    dropped int := 0;
BEGIN
    -- Ids of before 2020 or of a far future are nobody's days.
    IF of_day NOT BETWEEN 18262 AND 100000 OR NOT EXISTS (
        SELECT 1 FROM pinrail.ledger l
        WHERE CASE WHEN l.entry LIKE '%"journal_collected"%' AND l.entry::json #>> '{body,type}' = 'journal_collected'
            THEN (l.entry::json #>> '{body,before}')::date > starts END
    ) THEN RETURN -1; END IF;
    IF EXISTS (SELECT 1 FROM pinrail.runs WHERE id >= first AND id < beyond AND status <> 4) THEN RETURN -2; END IF;

    UPDATE pinrail.approvals SET arguments = NULL WHERE run >= first AND run < beyond AND arguments IS NOT NULL;
    INSERT INTO pinrail.permits (what) VALUES ('retire');
    WITH these AS (
        SELECT id FROM pinrail.runs_rest WHERE id >= first AND id < beyond AND status = 4 ORDER BY id LIMIT rows_max FOR UPDATE
    ), deleted AS (
        DELETE FROM pinrail.runs_rest r USING these WHERE r.id = these.id RETURNING r.id
    )
    SELECT array_agg(id) INTO ids FROM deleted;
    DELETE FROM pinrail.run_events_rest WHERE run = ANY (ids);
    DELETE FROM pinrail.permits WHERE what = 'retire';
    IF ids IS NOT NULL THEN RETURN cardinality(ids); END IF;

    FOR part IN
        SELECT c.relname AS runs, replace(c.relname, 'runs_', 'run_events_') AS events, c.relname = 'runs_' || name AS is_day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'pinrail.runs'::regclass AND c.relname ~ '^runs_d[0-9]{8}$' AND c.relname <= 'runs_' || name
        -- The day itself first.
        ORDER BY c.relname DESC
    LOOP
        EXIT WHEN dropped > empty_max;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM pinrail.%I)', part.runs) INTO is_there;
        CONTINUE WHEN is_there AND NOT part.is_day;
        IF is_there THEN EXECUTE format('SELECT count(*) FROM pinrail.%I', part.runs) INTO gone; END IF;
        -- Parents first, as everybody locks them. No run of the day can begin or end until it is gone.
        LOCK TABLE ONLY pinrail.runs, ONLY pinrail.run_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM pinrail.%I WHERE status <> 4 OR NOT $1)', part.runs) INTO is_open USING part.is_day;
        IF is_open AND part.is_day THEN RETURN -2; END IF;
        CONTINUE WHEN is_open;
        EXECUTE format('DROP TABLE pinrail.%I', part.runs);
        EXECUTE format('DROP TABLE IF EXISTS pinrail.%I', part.events);
        dropped := dropped + 1;
    END LOOP;
    RETURN gone;
END $$;

-- It asked no ledger, and no replica calls it. `grant_to`, which still names it, is made anew by the next file.
DROP FUNCTION pinrail.runs_drop(int);

-- Nobody gets these by being there.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pinrail FROM PUBLIC;
