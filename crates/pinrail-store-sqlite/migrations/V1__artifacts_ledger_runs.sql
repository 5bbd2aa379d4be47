-- What Pinrail keeps on one machine. Times are Unix milliseconds, digests 32 bytes, run ids 16 bytes with the
-- highest first, so that they sort as numbers. JSON is the domain's own form: the columns beside it exist to be
-- searched, and whoever reads a run or an entry reads the JSON.

CREATE TABLE artifacts (
    digest BLOB PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE ledger (
    seq   INTEGER PRIMARY KEY,
    hash  BLOB NOT NULL,
    entry TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    -- Places the run's events; means nothing outside this file.
    number     INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    agent      TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    session    TEXT,
    single     INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    release    BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    -- The stamp, and whether the run began queued: event 0 is made of them and isn't stored again.
    queued     INTEGER NOT NULL,
    stamp      TEXT NOT NULL,
    -- What changes with the run's events.
    status     INTEGER NOT NULL,
    summary    TEXT NOT NULL
) STRICT;

-- Finds a run, and lists runs newest first.
CREATE UNIQUE INDEX runs_by_id ON runs (id);
-- `run list` by agent and by deployment, newest first, without sorting.
CREATE INDEX runs_by_agent ON runs (agent, id);
CREATE INDEX runs_by_deployment ON runs (deployment, id);
-- A session's runs. Runs without a session cost it nothing.
CREATE INDEX runs_by_session ON runs (session, id) WHERE session IS NOT NULL;
-- A tenant's runs. Callers that name no tenant share `default` and cost it nothing.
CREATE INDEX runs_by_tenant ON runs (tenant, id) WHERE tenant <> 'default';
-- Exact drain counts. Holds the open runs only (status 4 is finished), so it stays small.
CREATE INDEX runs_open ON runs (deployment, status) WHERE status <> 4;

CREATE TABLE run_events (
    -- The run's number * 131072 + the first event's place: one row per write, a run's rows side by side.
    place  INTEGER PRIMARY KEY,
    -- [[time, event], …]
    events TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    -- Rises with every binding written.
    written    INTEGER PRIMARY KEY,
    agent      TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    session    TEXT NOT NULL,
    deployment INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX sessions_by_key ON sessions (session, agent, tenant);

CREATE TABLE answers (
    number  INTEGER PRIMARY KEY,
    caller  TEXT NOT NULL,
    key     TEXT NOT NULL,
    request BLOB NOT NULL,
    status  INTEGER NOT NULL,
    body    TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX answers_by_key ON answers (key, caller);
-- Expiry.
CREATE INDEX answers_by_time ON answers (at);

-- Append-only (I8), whoever holds the connection.
CREATE TRIGGER artifacts_keep BEFORE UPDATE ON artifacts BEGIN SELECT RAISE(ABORT, 'artifacts never change'); END;
CREATE TRIGGER ledger_keep BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_whole BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER runs_keep
BEFORE UPDATE OF number, id, agent, tenant, session, single, deployment, release, started_at, queued, stamp ON runs
BEGIN SELECT RAISE(ABORT, 'a run never changes its stamp'); END;
CREATE TRIGGER runs_whole BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;
CREATE TRIGGER run_events_keep BEFORE UPDATE ON run_events BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
CREATE TRIGGER run_events_whole BEFORE DELETE ON run_events BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
