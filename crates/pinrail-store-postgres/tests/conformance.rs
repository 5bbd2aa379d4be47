//! PostgreSQL keeps every promise of the store, with two replicas over it.

use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_store::conformance::{Damage, Subject};
use pinrail_store::{Memory, Store};
use pinrail_store_postgres::testing::{Cluster, Database};

pinrail_store::conformance_tests!(open);

/// Without a server it is the reference that passes; the test has said that it was skipped.
fn open() -> Subject {
    let Some(cluster) = Cluster::named_by_env() else {
        return Subject {
            store: Arc::new(Memory::new()),
            other: None,
            damage: Box::new(|_| {}),
            keep: Box::new(()),
        };
    };
    let database = Arc::new(cluster.database());
    let store = Arc::new(database.open());
    let other: Arc<dyn Store> = Arc::new(database.open());
    let damaged = Arc::clone(&database);
    let damage = Box::new(move |what| damage(&damaged, what));
    Subject { store, other: Some(other), damage, keep: Box::new(database) }
}

fn damage(database: &Database, what: Damage) {
    let change = match what {
        Damage::Artifact(digest) => format!(
            "ALTER TABLE pinrail.artifacts DISABLE TRIGGER USER; \
             UPDATE pinrail.artifacts SET bytes = bytes || '\\x21' WHERE digest = '\\x{}'",
            hex(digest)
        ),
        Damage::Entry(seq) => format!(
            "ALTER TABLE pinrail.ledger DISABLE TRIGGER USER; \
             UPDATE pinrail.ledger SET entry = left(entry, 40) WHERE seq = {seq}"
        ),
        Damage::Record(seq) => format!(
            "ALTER TABLE pinrail.state DISABLE TRIGGER USER; ALTER TABLE pinrail.state_content DISABLE TRIGGER USER; \
             WITH made AS (INSERT INTO pinrail.state_content (number, space, salt, json) \
             SELECT nextval('pinrail.state_contents'), space, decode(repeat('00', 16), 'hex'), '1' FROM pinrail.state \
             WHERE seq = {seq} AND content IS NULL RETURNING number) \
             UPDATE pinrail.state SET content = made.number FROM made WHERE seq = {seq}; \
             UPDATE pinrail.state_content c SET json = coalesce(c.json, '1') || ' ' \
             FROM pinrail.state s WHERE s.seq = {seq} AND c.number = s.content"
        ),
    };
    database.execute(&change);
}

fn hex(digest: Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
