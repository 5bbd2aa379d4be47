//! Small runs, entries and answers to store.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, DeploymentId, Epoch, EventSeq, IdempotencyKey, ProviderName, ReleaseId, RunId, SegmentName,
    SessionId, TenantId,
};
use pinrail_domain::journal::{Body, Ending, Event, ModelResponse, Outcome, Stamp, Usage};
use pinrail_domain::ledger::{self, Actor, Draft, Entry, Head};
use pinrail_domain::routes::Via;
use pinrail_domain::time::Timestamp;
use serde_json::json;

use crate::journal::{Append, Start, Write, WriteError, Written};
use crate::{Answer, AnswerKey, Store, ledger as store_ledger};

pub mod state;

/// The id of the `n`th run.
#[must_use]
pub fn run(n: u64) -> RunId {
    RunId::from_parts(1_000 + n, u128::from(n))
}

#[must_use]
pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

#[must_use]
pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

#[must_use]
pub fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

#[must_use]
pub fn release(name: &str) -> ReleaseId {
    ReleaseId(Digest::of(name.as_bytes()))
}

/// The stamp of the `n`th run: agent `support`, tenant `acme`, no session, deployment 1.
#[must_use]
pub fn stamp(n: u64) -> Stamp {
    Stamp {
        run: run(n),
        agent: agent("support"),
        tenant: tenant("acme"),
        session: None,
        parent: None,
        attributes: BTreeMap::from([("plan".to_owned(), "gold \"ü\"".to_owned())]),
        single: false,
        shadow: None,
        gate: None,
        deployment: DeploymentId(1),
        release: release("one"),
        segment: SegmentName::default_segment(),
        epoch: Epoch(3),
        via: Via::Bucket(1_234),
        provider: ProviderName::new("openai").unwrap(),
        snapshot: "gpt-4o-2024-08-06".to_owned(),
    }
}

/// The start of a run with this stamp, at 1 000 ms, with nothing else.
#[must_use]
pub fn start(stamp: Stamp) -> Start {
    Start {
        stamp,
        at: Timestamp(1_000),
        queued: false,
        events: vec![],
        bind: None,
        current: false,
        answer: None,
    }
}

/// Starts the `n`th run.
#[must_use]
pub fn starting(n: u64) -> Write {
    Write::Start(Box::new(start(stamp(n))))
}

/// Appends events to the `n`th run, wherever it ends, at 2 000 ms.
#[must_use]
pub fn appending(n: u64, events: Vec<Event>) -> Write {
    let events = events.into_iter().map(|event| (Timestamp(2_000), event)).collect();
    Write::Append(Append { run: run(n), expected: None, events, answer: None, follows: None })
}

/// As [`appending`], at an expected place.
#[must_use]
pub fn appending_at(n: u64, expected: u64, events: Vec<Event>) -> Write {
    let events = events.into_iter().map(|event| (Timestamp(2_000), event)).collect();
    Write::Append(Append {
        run: run(n),
        expected: Some(EventSeq(expected)),
        events,
        answer: None,
        follows: None,
    })
}

#[must_use]
pub fn note(name: &str) -> Event {
    Event::Note { name: name.to_owned(), data: json!({ "n": [1, 2.5, null, "ü\n"] }) }
}

#[must_use]
pub fn finished() -> Event {
    Event::Finished { outcome: Outcome::Ok, why: None }
}

/// What the gateway records of one call.
#[must_use]
pub fn one_call() -> Vec<(Timestamp, Event)> {
    let response = ModelResponse {
        call: 1,
        status: 200,
        ending: Ending::Complete,
        served_model: Some("gpt-4o-2024-08-06".to_owned()),
        fingerprint: Some("fp_1".to_owned()),
        finish_reason: Some("stop".to_owned()),
        usage: Some(Usage { input_tokens: 12, output_tokens: 34, cached_input_tokens: 5 }),
        cost_nano_usd: Some(370_000),
        first_byte_us: 1_500,
        last_byte_us: 9_000,
        body: Some(Body::Digest { digest: Digest::of(b"answer"), bytes: 6 }),
        ..ModelResponse::default()
    };
    let request = Body::Text { text: "{\"messages\":[]}".to_owned(), truncated: false };
    vec![
        (
            Timestamp(1_001),
            Event::ModelRequest { call: 1, stream: true, dropped: vec![], body: Some(request) },
        ),
        (Timestamp(1_002), Event::ModelResponse(Box::new(response))),
        (Timestamp(1_003), finished()),
    ]
}

#[must_use]
pub fn answer(caller: &str, key: &str, at: u64) -> Answer {
    Answer {
        key: AnswerKey { caller: caller.to_owned(), key: IdempotencyKey::new(key).unwrap() },
        request: Digest::of(key.as_bytes()),
        status: 201,
        body: "{\"ok\":\"ü\"}".to_owned(),
        at: Timestamp(at),
    }
}

/// `count` entries that follow `head`.
#[must_use]
pub fn entries(mut head: Head, count: usize, reason: &str) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let body = ledger::Body::DeploymentPromoted {
            deployment: DeploymentId(7),
            overridden: None,
            evidence: None,
        };
        let draft = Draft { at: Timestamp(5), actor: Actor::System, reason: reason.to_owned(), body };
        let entry = head.seal(draft).unwrap();
        head = Head { seq: entry.seq, hash: entry.hash };
        entries.push(entry);
    }
    entries
}

/// Appends `count` entries at the head and returns them.
pub async fn grow(store: &dyn Store, count: usize) -> Vec<Entry> {
    let entries = entries(store.ledger_head().await.unwrap(), count, "growth");
    let append = store_ledger::Append::of(entries.clone());
    store.ledger_append(append).await.unwrap();
    entries
}

/// Carries out one write.
pub async fn write(store: &dyn Store, write: Write) -> Result<Written, WriteError> {
    let mut results = store.journal_write(vec![write].into()).await;
    assert_eq!(results.len(), 1, "one result for one write");
    results.pop().unwrap()
}

/// Waits for all futures together, so that they are under way at the same time; results in their order.
pub async fn all_at_once<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, output) in waiting.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
