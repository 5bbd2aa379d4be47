-- Gates: evals of a candidate against its incumbent, and what was answered in them. Verdicts are in the ledger.

CREATE TABLE gates (
    -- Places the gate's rows; means nothing outside this file.
    number     INTEGER PRIMARY KEY,
    id         BLOB NOT NULL,
    agent      TEXT NOT NULL,
    deployment INTEGER,
    candidate  BLOB NOT NULL,
    incumbent  BLOB,
    created_at INTEGER NOT NULL,
    -- What changes while it goes on.
    status     INTEGER NOT NULL,
    document   TEXT NOT NULL
) STRICT;

-- Finds a gate, and lists gates newest first.
CREATE UNIQUE INDEX gates_by_id ON gates (id);
CREATE INDEX gates_by_agent ON gates (agent, id);
CREATE INDEX gates_by_deployment ON gates (deployment, id) WHERE deployment IS NOT NULL;
CREATE INDEX gates_by_status ON gates (status, id);

CREATE TABLE gate_rows (
    number      INTEGER PRIMARY KEY,
    gate        INTEGER NOT NULL REFERENCES gates (number),
    case_digest BLOB NOT NULL,
    repeat      INTEGER NOT NULL,
    release     BLOB NOT NULL,
    settled     INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX gate_rows_by_key ON gate_rows (gate, case_digest, repeat, release);
-- What another gate may reuse.
CREATE INDEX gate_rows_settled ON gate_rows (release, case_digest, repeat) WHERE settled = 1;

-- Written once, whoever holds the connection.
CREATE TRIGGER gates_keep
BEFORE UPDATE OF number, id, agent, deployment, candidate, incumbent, created_at ON gates
BEGIN SELECT RAISE(ABORT, 'a gate never changes what it compares'); END;
CREATE TRIGGER gates_whole BEFORE DELETE ON gates BEGIN SELECT RAISE(ABORT, 'gates are kept'); END;
CREATE TRIGGER gate_rows_keep BEFORE UPDATE ON gate_rows WHEN old.settled = 1
BEGIN SELECT RAISE(ABORT, 'a settled row never changes'); END;
CREATE TRIGGER gate_rows_whole BEFORE DELETE ON gate_rows BEGIN SELECT RAISE(ABORT, 'rows of gates are kept'); END;
