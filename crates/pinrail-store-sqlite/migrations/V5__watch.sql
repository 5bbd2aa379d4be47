-- Watching what is pinned.

-- Tool calls that wait for a person's approval, or did.
CREATE TABLE approvals (
    -- The order in which they were asked for; means nothing outside this file.
    number     INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    -- Equal for calls that are the same.
    call_key   BLOB NOT NULL,
    run        BLOB NOT NULL,
    agent      TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    tool       TEXT NOT NULL,
    -- What was said in the call; NULL where it isn't kept, or was erased.
    arguments  TEXT,
    -- 1: the arguments are there for the decision alone.
    until_decided INTEGER NOT NULL,
    -- What changes while it lives: the whole approval without its arguments, and columns to search by.
    expires_at INTEGER NOT NULL,
    -- 0 denied, 1 approved; NULL while nobody decided.
    verdict    INTEGER,
    used       INTEGER NOT NULL,
    document   TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX approvals_by_id ON approvals (id);
CREATE INDEX approvals_by_key ON approvals (call_key, number);
CREATE INDEX approvals_by_run ON approvals (run);
CREATE INDEX approvals_by_agent ON approvals (agent, id);
CREATE INDEX approvals_by_tenant ON approvals (tenant, id);
CREATE INDEX approvals_open ON approvals (expires_at) WHERE verdict IS NULL;
CREATE INDEX approvals_passing ON approvals (expires_at) WHERE until_decided = 1 AND arguments IS NOT NULL;

CREATE TRIGGER approvals_keep
BEFORE UPDATE OF number, id, call_key, run, agent, tenant, tool, until_decided ON approvals
BEGIN SELECT RAISE(ABORT, 'an approval never changes what it is about'); END;
CREATE TRIGGER approvals_arguments BEFORE UPDATE OF arguments ON approvals WHEN new.arguments IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'arguments only ever go'); END;
CREATE TRIGGER approvals_once BEFORE UPDATE OF verdict ON approvals
WHEN old.verdict IS NOT NULL AND new.verdict IS NOT old.verdict
BEGIN SELECT RAISE(ABORT, 'an approval is decided once'); END;
CREATE TRIGGER approvals_used BEFORE UPDATE OF used ON approvals WHEN old.used = 1 AND new.used = 0
BEGIN SELECT RAISE(ABORT, 'an approval is used once'); END;
CREATE TRIGGER approvals_whole BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are kept'); END;

-- What was last seen of model providers: losing a row costs another look.
CREATE TABLE sightings (
    -- 0: a model, by a call; 1: a provider's list of models.
    kind     INTEGER NOT NULL,
    subject  TEXT NOT NULL,
    at       INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

-- Models that are watched by border prompts, day by day.
CREATE TABLE watches (
    provider TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (provider, snapshot)
) STRICT, WITHOUT ROWID;

CREATE TABLE watch_days (
    provider TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    -- Days since 1970-01-01, UTC.
    day      INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (provider, snapshot, day)
) STRICT, WITHOUT ROWID;
