-- oldest: 1
-- What replicas share beside ledger, journals and state: who they are and who leads, members, and what is kept of webhooks, gates,
-- approvals and models. Moments that are compared with each other are microseconds of the server's own clock (`…_us`), so that no
-- replica's clock counts.

CREATE FUNCTION pinrail.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint
$$;

-- Webhooks: how far each was told of the ledger, and what its receiver wouldn't take.
CREATE TABLE pinrail.deliveries (
    webhook text COLLATE "C" NOT NULL,
    -- The ledger entry that added the webhook: added again under its name, it is another.
    since   bigint NOT NULL,
    -- The last entry that it is done with. Only rises.
    cursor  bigint NOT NULL,
    PRIMARY KEY (webhook, since)
);

CREATE TABLE pinrail.dead_letters (
    webhook  text COLLATE "C" NOT NULL,
    since    bigint NOT NULL,
    -- The ledger entry.
    seq      bigint NOT NULL,
    attempts bigint NOT NULL,
    why      text   NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (webhook, since, seq)
);

-- Gates: evals of a candidate against its incumbent, and what was answered in them. Verdicts are in the ledger.
CREATE TABLE pinrail.gates (
    id         uuid   PRIMARY KEY,
    agent      text   NOT NULL,
    deployment bigint,
    candidate  bytea  NOT NULL,
    incumbent  bytea,
    created_at bigint NOT NULL,
    -- What changes while it goes on.
    status     smallint NOT NULL,
    document   text   NOT NULL
);
CREATE INDEX gates_by_agent ON pinrail.gates (agent, id);
CREATE INDEX gates_by_deployment ON pinrail.gates (deployment, id) WHERE deployment IS NOT NULL;
CREATE INDEX gates_by_status ON pinrail.gates (status, id);

CREATE TABLE pinrail.gate_rows (
    gate        uuid    NOT NULL REFERENCES pinrail.gates (id),
    case_digest bytea   NOT NULL,
    repeat      bigint  NOT NULL,
    release     bytea   NOT NULL,
    settled     boolean NOT NULL,
    body        bytea   NOT NULL,
    PRIMARY KEY (gate, case_digest, repeat, release)
);
-- What another gate may reuse.
CREATE INDEX gate_rows_settled ON pinrail.gate_rows (release, case_digest, repeat, gate) WHERE settled;

-- Tool calls that wait for a person's approval, or did.
CREATE TABLE pinrail.approvals (
    id         uuid   PRIMARY KEY,
    -- Equal for calls that are the same.
    call_key   bytea  NOT NULL,
    run        uuid   NOT NULL,
    agent      text   NOT NULL,
    tenant     text   NOT NULL,
    tool       text   NOT NULL,
    -- What was said in the call; NULL where it isn't kept, or was erased.
    arguments  text,
    -- The arguments are there for the decision alone.
    until_decided boolean NOT NULL,
    -- What changes while it lives: the whole approval without its arguments, and columns to search by.
    expires_at bigint NOT NULL,
    approved   boolean,
    used       boolean NOT NULL,
    document   text   NOT NULL
);
CREATE INDEX approvals_by_key ON pinrail.approvals (call_key, id);
CREATE INDEX approvals_by_run ON pinrail.approvals (run);
CREATE INDEX approvals_by_agent ON pinrail.approvals (agent, id);
CREATE INDEX approvals_by_tenant ON pinrail.approvals (tenant, id);
CREATE INDEX approvals_open ON pinrail.approvals (expires_at) WHERE approved IS NULL;
CREATE INDEX approvals_passing ON pinrail.approvals (expires_at) WHERE until_decided AND arguments IS NOT NULL;

-- What was last seen of model providers: losing a row costs another look.
CREATE TABLE pinrail.sightings (
    -- 0: a model, by a call; 1: a provider's list of models.
    kind     smallint NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    at       bigint   NOT NULL,
    document text     NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- Models that are watched by border prompts, day by day.
CREATE TABLE pinrail.watches (
    provider text COLLATE "C" NOT NULL,
    snapshot text COLLATE "C" NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (provider, snapshot)
);

CREATE TABLE pinrail.watch_days (
    provider text COLLATE "C" NOT NULL,
    snapshot text COLLATE "C" NOT NULL,
    -- Days since 1970-01-01, UTC.
    day      bigint NOT NULL,
    document text   NOT NULL,
    PRIMARY KEY (provider, snapshot, day)
);

-- Processes that have the store open. An id is given once; a row that is gone was given up by the others.
CREATE TABLE pinrail.replicas (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What people call it.
    name       text   NOT NULL,
    started_us bigint NOT NULL DEFAULT pinrail.now_us(),
    heard_us   bigint NOT NULL DEFAULT pinrail.now_us(),
    -- The server's process that holds its session: who leads holds a lock there.
    pid        int    NOT NULL
) WITH (fillfactor = 50);

-- Leaders' terms, one row each: begun under the lock of `heads`, which holds the newest, so that no append slips in between.
CREATE TABLE pinrail.leaders (
    term    bigint PRIMARY KEY,
    replica bigint NOT NULL,
    since   bigint NOT NULL
);

-- When each epoch began. Written with whatever raises the epoch in `heads`, so it is one clock's and one transaction's.
CREATE TABLE pinrail.flips (
    epoch bigint PRIMARY KEY,
    at_us bigint NOT NULL
);

CREATE FUNCTION pinrail.note_flips() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO pinrail.flips (epoch, at_us)
    SELECT n, pinrail.now_us() FROM generate_series(old.epoch + 1, new.epoch) AS n
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER heads_flips AFTER UPDATE ON pinrail.heads
FOR EACH ROW WHEN (new.epoch > old.epoch) EXECUTE FUNCTION pinrail.note_flips();

-- Gateways and workers that follow the epoch: a row for each time that one registered. Its lease is one stretch of time, from
-- `registered_us` to `heard_us + lease_us`, or to `ended_us` where that comes first: a lease that lapsed is never renewed.
CREATE TABLE pinrail.members (
    id            bigint NOT NULL,
    generation    bigint NOT NULL,
    -- Whose it is; NULL for the gateway of a replica.
    owner         text COLLATE "C",
    name          text COLLATE "C" NOT NULL,
    -- 0: a gateway; 1: a worker.
    kind          smallint NOT NULL,
    began         bigint NOT NULL,
    acknowledged  bigint NOT NULL,
    lease_us      bigint NOT NULL,
    registered_us bigint NOT NULL,
    heard_us      bigint NOT NULL,
    ended_us      bigint,
    -- 0: it left; 1: it registered again. NULL while it goes on.
    ended         smallint,
    -- Of the request that registered it.
    idempotency   text,
    request       bytea,
    PRIMARY KEY (id, generation)
) WITH (fillfactor = 50);
-- The one of each name that counts.
CREATE UNIQUE INDEX members_by_name ON pinrail.members (name, (coalesce(owner, ''))) WHERE ended_us IS NULL;
CREATE UNIQUE INDEX members_by_id ON pinrail.members (id) WHERE ended_us IS NULL;

-- Acknowledgements that rose: an epoch is acknowledged with every epoch before it.
CREATE TABLE pinrail.epoch_acks (
    member     bigint NOT NULL,
    generation bigint NOT NULL,
    epoch      bigint NOT NULL,
    at_us      bigint NOT NULL,
    PRIMARY KEY (member, generation, epoch)
);

INSERT INTO pinrail.rights (name, app) VALUES
    ('deliveries', 'SELECT, INSERT, UPDATE, DELETE'),
    ('dead_letters', 'SELECT, INSERT, UPDATE, DELETE'),
    ('gates', 'SELECT, INSERT, UPDATE (status, document)'),
    ('gate_rows', 'SELECT, INSERT, UPDATE (settled, body)'),
    ('approvals', 'SELECT, INSERT, UPDATE (arguments, expires_at, approved, used, document)'),
    ('sightings', 'SELECT, INSERT, UPDATE, DELETE'),
    ('watches', 'SELECT, INSERT, UPDATE'),
    ('watch_days', 'SELECT, INSERT, UPDATE'),
    ('replicas', 'SELECT, INSERT, UPDATE, DELETE'),
    ('leaders', 'SELECT, INSERT'),
    ('flips', 'SELECT, DELETE'),
    ('members', 'SELECT, INSERT, UPDATE, DELETE'),
    ('epoch_acks', 'SELECT, INSERT, DELETE');

-- Written once, whoever holds the connection.
CREATE TRIGGER gates_keep
BEFORE UPDATE OF id, agent, deployment, candidate, incumbent, created_at ON pinrail.gates
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('a gate never changes what it compares');
CREATE TRIGGER gates_whole BEFORE DELETE ON pinrail.gates
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('gates are kept');
CREATE TRIGGER gate_rows_keep BEFORE UPDATE ON pinrail.gate_rows
FOR EACH ROW WHEN (old.settled) EXECUTE FUNCTION pinrail.refuse('a settled row never changes');
CREATE TRIGGER gate_rows_whole BEFORE DELETE ON pinrail.gate_rows
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('rows of gates are kept');
CREATE TRIGGER approvals_keep
BEFORE UPDATE OF id, call_key, run, agent, tenant, tool, until_decided ON pinrail.approvals
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('an approval never changes what it is about');
CREATE TRIGGER approvals_arguments BEFORE UPDATE OF arguments ON pinrail.approvals
FOR EACH ROW WHEN (new.arguments IS NOT NULL) EXECUTE FUNCTION pinrail.refuse('arguments only ever go');
CREATE TRIGGER approvals_once BEFORE UPDATE OF approved ON pinrail.approvals
FOR EACH ROW WHEN (old.approved IS NOT NULL AND new.approved IS DISTINCT FROM old.approved)
EXECUTE FUNCTION pinrail.refuse('an approval is decided once');
CREATE TRIGGER approvals_used BEFORE UPDATE OF used ON pinrail.approvals
FOR EACH ROW WHEN (old.used AND NOT new.used) EXECUTE FUNCTION pinrail.refuse('an approval is used once');
CREATE TRIGGER approvals_whole BEFORE DELETE ON pinrail.approvals
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('approvals are kept');
CREATE TRIGGER leaders_keep BEFORE UPDATE OR DELETE ON pinrail.leaders
FOR EACH ROW EXECUTE FUNCTION pinrail.refuse('terms are kept');

-- Nobody gets these by being there.
REVOKE ALL ON FUNCTION pinrail.now_us() FROM PUBLIC;
REVOKE ALL ON FUNCTION pinrail.note_flips() FROM PUBLIC;
