-- State: records of memory, shared context and vectors in one sequence, and who read and wrote them. What somebody
-- sees of them is decided in the domain, never here.

CREATE TABLE spaces (
    number  INTEGER PRIMARY KEY,
    tenant  TEXT NOT NULL,
    layer   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    -- Of the records that are there: changed with them, in their transaction.
    puts    INTEGER NOT NULL DEFAULT 0,
    deletes INTEGER NOT NULL DEFAULT 0,
    newest  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Finds a space, and lists spaces in this order.
CREATE UNIQUE INDEX spaces_by_name ON spaces (tenant, layer, name);

-- Who did what where: narrow, so that a space is walked without its content.
CREATE TABLE state (
    seq            INTEGER PRIMARY KEY,
    space          INTEGER NOT NULL,
    key            TEXT NOT NULL,
    op             INTEGER NOT NULL,
    deployment     INTEGER NOT NULL,
    run            BLOB,
    origin         INTEGER NOT NULL,
    -- The ledger's head when it was appended.
    ledger         INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    -- [place, …] where there are any.
    parents        TEXT,
    -- Zero for what says nothing; that has no content.
    content_digest BLOB NOT NULL,
    digest         BLOB NOT NULL
) STRICT;

-- Holds all that visibility needs: a million operations are loaded from it alone.
CREATE INDEX state_by_space ON state (space, seq, ledger, deployment, op, key);
-- The rest end with the place by themselves, as every index does. The newest operation on a key:
CREATE INDEX state_by_key ON state (space, key);
CREATE INDEX state_by_deployment ON state (deployment);
CREATE INDEX state_by_run ON state (run) WHERE run IS NOT NULL;

-- Rows come in the order of their places and never grow, so SQLite has no reason to move one. Where content was
-- erased, all is NULL: a row that went would make its neighbours move, and leave traces of them.
CREATE TABLE state_content (
    seq    INTEGER PRIMARY KEY,
    salt   BLOB,
    json   TEXT,
    -- Little-endian, four bytes a component.
    vector BLOB
) STRICT;

-- What was derived from what.
CREATE TABLE state_parents (
    parent INTEGER NOT NULL,
    child  INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

-- The last place given while the ledger's head was this: the next place is one more than the last of all, whatever
-- was removed since.
CREATE TABLE state_marks (
    ledger INTEGER PRIMARY KEY,
    last   INTEGER NOT NULL
) STRICT;

-- The earliest time in each 1024 places, so that a time is found without looking at every record.
CREATE TABLE state_times (
    chunk    INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL
) STRICT;

-- The ledger's times, beside it for the same reason. Entries that can't be read have none.
CREATE TABLE ledger_times (
    seq INTEGER PRIMARY KEY,
    at  INTEGER NOT NULL
) STRICT;

INSERT INTO ledger_times (seq, at)
SELECT seq, entry ->> '$.at' FROM ledger
WHERE CASE WHEN json_valid(entry) THEN json_type(entry, '$.at') = 'integer' ELSE FALSE END;

-- What a deployment wrote in a space, of the records that are there.
CREATE TABLE state_written (
    deployment INTEGER NOT NULL,
    space      INTEGER NOT NULL,
    puts       INTEGER NOT NULL,
    deletes    INTEGER NOT NULL,
    PRIMARY KEY (deployment, space)
) STRICT, WITHOUT ROWID;

CREATE TABLE state_reads (
    -- The order in which they were noted.
    number  INTEGER PRIMARY KEY,
    run     BLOB NOT NULL,
    agent   TEXT NOT NULL,
    space   INTEGER NOT NULL,
    -- The view's moment.
    state   INTEGER NOT NULL,
    ledger  INTEGER NOT NULL,
    -- [place, …]; NULL where all that was visible was read.
    records TEXT
) STRICT;

CREATE INDEX state_reads_by_space ON state_reads (space, state);

CREATE TABLE state_uses (
    space   INTEGER NOT NULL,
    agent   TEXT NOT NULL,
    reads   INTEGER NOT NULL,
    writes  INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (space, agent)
) STRICT, WITHOUT ROWID;

-- What the open transaction may do to history: a row is there only while it does it, so nobody ever sees one.
CREATE TABLE permits (
    what TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Append-only (I8), whoever holds the connection. Removal takes whole records, erasure takes content.
CREATE TRIGGER state_keep BEFORE UPDATE ON state BEGIN SELECT RAISE(ABORT, 'records never change'); END;
CREATE TRIGGER state_whole BEFORE DELETE ON state
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE what = 'remove')
BEGIN SELECT RAISE(ABORT, 'state is append-only'); END;
CREATE TRIGGER state_content_keep BEFORE UPDATE ON state_content
WHEN new.seq <> old.seq OR new.salt IS NOT NULL OR new.json IS NOT NULL OR new.vector IS NOT NULL
    OR NOT EXISTS (SELECT 1 FROM permits WHERE what = 'erase')
BEGIN SELECT RAISE(ABORT, 'records never change'); END;
CREATE TRIGGER state_content_whole BEFORE DELETE ON state_content
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE what = 'remove')
BEGIN SELECT RAISE(ABORT, 'state is append-only'); END;
CREATE TRIGGER state_parents_keep BEFORE UPDATE ON state_parents
BEGIN SELECT RAISE(ABORT, 'records never change'); END;
CREATE TRIGGER state_parents_whole BEFORE DELETE ON state_parents
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE what = 'remove')
BEGIN SELECT RAISE(ABORT, 'state is append-only'); END;
CREATE TRIGGER state_marks_keep BEFORE UPDATE ON state_marks WHEN new.ledger <> old.ledger OR new.last < old.last
BEGIN SELECT RAISE(ABORT, 'a place is given once'); END;
CREATE TRIGGER state_marks_whole BEFORE DELETE ON state_marks
BEGIN SELECT RAISE(ABORT, 'a place is given once'); END;
CREATE TRIGGER state_reads_keep BEFORE UPDATE ON state_reads
BEGIN SELECT RAISE(ABORT, 'reads are append-only'); END;
CREATE TRIGGER state_reads_whole BEFORE DELETE ON state_reads
BEGIN SELECT RAISE(ABORT, 'reads are append-only'); END;

-- Journals are append-only still, but for erasure, which leaves every event in its place.
DROP TRIGGER run_events_keep;
CREATE TRIGGER run_events_keep BEFORE UPDATE ON run_events
WHEN new.place <> old.place OR NOT EXISTS (SELECT 1 FROM permits WHERE what = 'erase')
BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
