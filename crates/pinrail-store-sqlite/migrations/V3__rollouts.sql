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
