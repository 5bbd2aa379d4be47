//! Small records of state to store.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::{Actor, Body, Draft, Head};
use pinrail_domain::state::{
    Author, Content, Layer, Op, Operation, Origin, Record, Space, SpaceName, StateKey, Value, digest,
};
use pinrail_domain::time::Timestamp;

use super::{agent, run, tenant};
use crate::state::{Appended, Batch, Put};
use crate::{Store, ledger};

/// Something to write.
#[derive(Clone, Debug)]
pub struct Change {
    pub space: Space,
    pub key: StateKey,
    /// None deletes the key.
    pub value: Option<Value>,
    pub parents: Vec<StateSeq>,
}

#[must_use]
pub fn space(owner: &str, layer: Layer, name: &str) -> Space {
    Space { tenant: tenant(owner), layer, name: SpaceName::new(name).unwrap() }
}

/// Space `facts` of shared context of tenant `acme`.
#[must_use]
pub fn facts() -> Space {
    space("acme", Layer::Context, "facts")
}

#[must_use]
pub fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

/// Puts some JSON.
#[must_use]
pub fn set(space: &Space, name: &str, json: &str) -> Change {
    set_vector(space, name, json, None)
}

/// Puts some JSON and a vector. The salt is drawn from the value, so that equal changes are equal.
#[must_use]
pub fn set_vector(space: &Space, name: &str, json: &str, vector: Option<Vec<f32>>) -> Change {
    let drawn = Digest::of(json.as_bytes());
    let salt = *drawn.as_bytes().first_chunk().unwrap();
    let value = Value { salt, json: json.to_owned(), vector };
    Change { space: space.clone(), key: key(name), value: Some(value), parents: vec![] }
}

/// Deletes a key.
#[must_use]
pub fn unset(space: &Space, name: &str) -> Change {
    Change { space: space.clone(), key: key(name), value: None, parents: vec![] }
}

/// Run `deployment` of agent `support`, on that deployment.
#[must_use]
pub fn author(deployment: u64) -> Author {
    let (id, run) = (DeploymentId(deployment), run(deployment));
    Author { deployment: id, origin: Origin::Run, run: Some(run), agent: Some(agent("support")) }
}

#[must_use]
pub fn batch(author: &Author, at: u64, changes: Vec<Change>) -> Batch {
    let puts = changes.into_iter().map(|change| put(author, change)).collect();
    Batch { author: author.clone(), at: Timestamp(at), puts, expect: None, open: None, answer: None }
}

/// Appends, in the name of [`author`], at 3 000 ms.
pub async fn append(store: &dyn Store, deployment: u64, changes: Vec<Change>) -> Appended {
    store.state_append(batch(&author(deployment), 3_000, changes)).await.unwrap()
}

/// The records that a batch becomes.
#[must_use]
pub fn records(batch: &Batch, appended: Appended) -> Vec<Record> {
    let Author { deployment, origin, run, agent: _ } = batch.author;
    let places = (appended.first.0..).map(StateSeq);
    let record = |(put, seq): (&Put, StateSeq)| {
        let Put { space, key, op, parents, content, content_digest, digest } = put.clone();
        let operation = Operation { seq, ledger: appended.ledger, deployment, key, op };
        let at = batch.at;
        Record { space, operation, at, origin, run, parents, content, content_digest, digest }
    };
    batch.puts.iter().zip(places).map(record).collect()
}

/// Appends a ledger entry that was made at `at`.
pub async fn enter(store: &dyn Store, at: u64, body: Body) -> LedgerSeq {
    let head: Head = store.ledger_head().await.unwrap();
    let draft = Draft { at: Timestamp(at), actor: Actor::System, reason: "r".to_owned(), body };
    let entry = head.seal(draft).unwrap();
    let seq = entry.seq;
    store.ledger_append(ledger::Append::of(vec![entry])).await.unwrap();
    seq
}

fn put(author: &Author, change: Change) -> Put {
    let Change { space, key, value, parents } = change;
    let op = if value.is_some() { Op::Put } else { Op::Delete };
    let content = value.map_or(Content::Nothing, Content::Value);
    let content_digest = content.digest().unwrap();
    let digest = digest(&space, &key, op, author, &parents, content_digest);
    Put { space, key, op, parents, content, content_digest, digest }
}
