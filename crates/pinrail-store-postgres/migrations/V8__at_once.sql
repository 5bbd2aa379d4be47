-- oldest: 1
-- What locks the heads or the epoch does so in one statement, the last of its transaction, and its COMMIT is sent with it: a replica that
-- is stopped then, or whose machine hangs, has nothing left to say before the server lets go, so it keeps no rollback waiting.
--
-- These do with the caller's rights what its own statements did, so whoever is allowed to call them may do no more than before: they
-- need no right of their own, and a role that got its rights before this file goes on.
--
-- 8100126842342173698 (0x70696e7261696c02) is the lock of the epoch, in all versions: never change it.

-- Writes down what an entry changes about which deployments count: it commits one, or retracts it, with what was derived from it.
CREATE FUNCTION pinrail.ledger_count(
    of_deployment bigint, at_seq bigint, commits boolean, unless_committed boolean, firsts bigint[], lasts bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF commits THEN
        INSERT INTO pinrail.spans (deployment, committed) VALUES (of_deployment, at_seq)
        ON CONFLICT (deployment) DO UPDATE SET committed = excluded.committed;
        RETURN;
    END IF;
    INSERT INTO pinrail.spans AS s (deployment, retracted) VALUES (of_deployment, at_seq)
    ON CONFLICT (deployment) DO UPDATE SET retracted = excluded.retracted
    WHERE NOT (unless_committed AND s.committed IS NOT NULL);
    -- Only where the entry did retract it.
    INSERT INTO pinrail.cascades (at, from_deployment, first, last)
    SELECT s.retracted, s.deployment, r.first, r.last FROM pinrail.spans s, unnest(firsts, lasts) AS r (first, last)
    WHERE s.deployment = of_deployment AND s.retracted = at_seq;
END $$;

-- Appends to the ledger where it stands at `base_seq` and `base_hash`, and where `fence`, unless null, is the newest term: otherwise
-- nothing is done, and the answer says where it stands. `raises` is by how much the epoch rises. What is counted of the entries comes
-- as columns, each with a slice of the ranges that it takes along.
CREATE FUNCTION pinrail.ledger_append(
    base_seq bigint, base_hash bytea, fence bigint,
    seqs bigint[], hashes bytea[], times bigint[], entries text[], raises bigint,
    counted_deployments bigint[], counted_seqs bigint[], commits boolean[], unless_committed boolean[],
    range_from int[], range_to int[], range_firsts bigint[], range_lasts bigint[],
    answer_caller text, answer_key text, answer_request bytea, answer_status int, answer_body text, answer_at bigint,
    OUT appended boolean, OUT out_seq bigint, OUT out_hash bytea, OUT out_term bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT h.ledger_seq, h.ledger_hash, h.term INTO STRICT out_seq, out_hash, out_term FROM pinrail.heads h FOR UPDATE;
    appended := out_seq = base_seq AND out_hash = base_hash AND (fence IS NULL OR fence = out_term);
    IF NOT appended THEN
        RETURN;
    END IF;
    INSERT INTO pinrail.ledger (seq, hash, at, entry)
    SELECT e.seq, e.hash, e.at, e.entry FROM unnest(seqs, hashes, times, entries) AS e (seq, hash, at, entry);
    FOR n IN 1..cardinality(counted_seqs) LOOP
        PERFORM pinrail.ledger_count(counted_deployments[n], counted_seqs[n], commits[n], unless_committed[n],
            range_firsts[range_from[n]:range_to[n]], range_lasts[range_from[n]:range_to[n]]);
    END LOOP;
    IF answer_key IS NOT NULL THEN
        INSERT INTO pinrail.answers (caller, key, request, status, body, at)
        VALUES (answer_caller, answer_key, answer_request, answer_status, answer_body, answer_at)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'another request used the idempotency key at the same moment' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    IF raises > 0 THEN
        -- Last, as in journals: so nobody waits for an answer's key who has it.
        PERFORM pg_advisory_xact_lock(8100126842342173698);
    END IF;
    UPDATE pinrail.heads SET ledger_seq = seqs[cardinality(seqs)], ledger_hash = hashes[cardinality(hashes)], epoch = epoch + raises;
    PERFORM pg_notify('pinrail', 'ledger:' || seqs[cardinality(seqs)]);
END $$;

-- Holds the epoch until the transaction ends, where it is still the expected one; fails otherwise, as one does that another overtook.
CREATE FUNCTION pinrail.epoch_stays(expected bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(8100126842342173698);
    -- A statement of its own: it sees what was committed while the lock was waited for.
    IF (SELECT h.epoch FROM pinrail.heads h) <> expected THEN
        RAISE EXCEPTION 'the epoch has risen meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN true;
END $$;

-- Appends a batch as `state_append` does, with what belongs to the same moment: the outcome is kept as the answer to its request. What is
-- refused fails, so that nothing of it stays: with PR001 and the entry that ended the author's data job after `open_at`, with PR002 and the
-- key's newest record (zero: none) where that isn't the expected one.
CREATE FUNCTION pinrail.state_append_kept(
    idem_key text, idem_caller text, expect_space bigint, expect_key text, expect_newest bigint,
    by_deployment bigint, by_run uuid, by_agent text, by_origin smallint, at_ms bigint,
    in_spaces bigint[], in_keys text[], in_ops smallint[], in_parents text[], in_content_digests bytea[], in_digests bytea[],
    content_of int[], salts bytea[], jsons text[], vector_from int[], vector_to int[], floats real[],
    open_at bigint, idem_request bytea,
    OUT out_first bigint, OUT out_last bigint, OUT out_ledger bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    outcome smallint;
    newest bigint;
    ended_by bigint;
BEGIN
    SELECT a.outcome, a.out_first, a.out_last, a.out_ledger, a.out_newest
    INTO outcome, out_first, out_last, out_ledger, newest
    FROM pinrail.state_append(idem_key, idem_caller, expect_space, expect_key, expect_newest, by_deployment, by_run, by_agent,
        by_origin, at_ms, in_spaces, in_keys, in_ops, in_parents, in_content_digests, in_digests, content_of, salts, jsons,
        vector_from, vector_to, floats) AS a;
    IF outcome = 1 THEN
        RAISE EXCEPTION 'another request used the idempotency key at the same moment' USING ERRCODE = 'serialization_failure';
    ELSIF outcome = 2 THEN
        RAISE EXCEPTION 'the key has a newer record' USING ERRCODE = 'PR002', DETAIL = coalesce(newest, 0)::text;
    END IF;
    -- The heads are locked, so no entry ends it from here to the COMMIT; a statement of its own sees every one before.
    IF open_at IS NOT NULL THEN
        SELECT min(e.at) INTO ended_by FROM pinrail.spans s, unnest(ARRAY[s.committed, s.retracted]) AS e (at)
        WHERE s.deployment = by_deployment AND e.at > open_at;
        IF ended_by IS NOT NULL THEN
            RAISE EXCEPTION 'the data job was ended' USING ERRCODE = 'PR001', DETAIL = ended_by::text;
        END IF;
    END IF;
    IF idem_key IS NOT NULL THEN
        -- As `Appended` is written.
        INSERT INTO pinrail.answers (caller, key, request, status, body, at)
        VALUES (idem_caller, idem_key, idem_request, 200,
            format('{"first":%s,"last":%s,"ledger":%s}', out_first, out_last, out_ledger), at_ms)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'another request used the idempotency key at the same moment' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
END $$;
