-- oldest: 1
-- What is kept row by row is kept whole: TRUNCATE fires no trigger of a row, so each of these tables has one of its own, as the ledger,
-- artifacts and state have.
--
-- A partition isn't covered by its parent's trigger. The two that take what has no day have their own; whoever may TRUNCATE a day's may
-- drop it as well.

CREATE TRIGGER heads_truncate BEFORE TRUNCATE ON pinrail.heads
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('there is one row of heads');
CREATE TRIGGER spans_truncate BEFORE TRUNCATE ON pinrail.spans
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('what counted stays known');
CREATE TRIGGER cascades_truncate BEFORE TRUNCATE ON pinrail.cascades
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('what counted stays known');
CREATE TRIGGER runs_truncate BEFORE TRUNCATE ON pinrail.runs
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('runs are append-only');
CREATE TRIGGER runs_rest_truncate BEFORE TRUNCATE ON pinrail.runs_rest
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('runs are append-only');
CREATE TRIGGER run_events_truncate BEFORE TRUNCATE ON pinrail.run_events
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('journals are append-only');
CREATE TRIGGER run_events_rest_truncate BEFORE TRUNCATE ON pinrail.run_events_rest
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('journals are append-only');
CREATE TRIGGER sessions_truncate BEFORE TRUNCATE ON pinrail.sessions
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('bindings are kept');
CREATE TRIGGER state_marks_truncate BEFORE TRUNCATE ON pinrail.state_marks
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('a place is given once');
CREATE TRIGGER gates_truncate BEFORE TRUNCATE ON pinrail.gates
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('gates are kept');
CREATE TRIGGER gate_rows_truncate BEFORE TRUNCATE ON pinrail.gate_rows
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('rows of gates are kept');
CREATE TRIGGER approvals_truncate BEFORE TRUNCATE ON pinrail.approvals
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('approvals are kept');
CREATE TRIGGER leaders_truncate BEFORE TRUNCATE ON pinrail.leaders
FOR EACH STATEMENT EXECUTE FUNCTION pinrail.refuse('terms are kept');

-- Readers see what Pinrail's readers see: `visible` and `counts` are theirs, too.
CREATE OR REPLACE FUNCTION pinrail.grant_to(role text, access text) RETURNS void LANGUAGE plpgsql
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
        -- Rights are the owner's.
        EXECUTE format('REVOKE EXECUTE ON FUNCTION pinrail.grant_to(text, text) FROM %I', role);
    ELSE
        EXECUTE format('GRANT EXECUTE ON FUNCTION pinrail.visible(bigint, bigint, bigint, bigint), '
            'pinrail.counts(bigint, bigint, bigint, bigint, bigint, bigint) TO %I', role);
    END IF;
END $$;
