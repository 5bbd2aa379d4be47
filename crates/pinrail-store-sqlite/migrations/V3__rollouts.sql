-- Webhooks: how far each was told of the ledger, and what its receiver wouldn't take. The ledger itself is what is
-- delivered, so nothing of it is here again.

CREATE TABLE deliveries (
    webhook TEXT NOT NULL,
    -- The ledger entry that added the webhook: added again under its name, it is another.
    since   INTEGER NOT NULL,
    -- The last entry that it is done with. Only rises.
    cursor  INTEGER NOT NULL,
    PRIMARY KEY (webhook, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    webhook  TEXT NOT NULL,
    since    INTEGER NOT NULL,
    -- The ledger entry.
    seq      INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    why      TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (webhook, since, seq)
) STRICT, WITHOUT ROWID;

-- Copies: runs in which a candidate answers what a live run was asked.

-- The live run of whose request this one answers a copy; null for a run that is live itself.
ALTER TABLE runs ADD COLUMN shadow BLOB;
-- A deployment's copies, newest first. Live runs cost it nothing.
CREATE INDEX runs_shadow ON runs (deployment, id) WHERE shadow IS NOT NULL;

DROP TRIGGER runs_keep;
CREATE TRIGGER runs_keep
BEFORE UPDATE OF number, id, agent, tenant, session, single, deployment, release, started_at, queued, stamp, shadow ON runs
BEGIN SELECT RAISE(ABORT, 'a run never changes its stamp'); END;
