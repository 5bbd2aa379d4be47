//! The backend and the in-memory reference, driven by the same random operations: every answer and every read
//! must be the same. A seed decides everything, so a failure repeats; the panic names the seed and the step.

use std::fmt::Debug;

use pinrail_domain::id::{DeploymentId, EventSeq, LedgerSeq};
use pinrail_domain::journal::{Event, Outcome, RunStatus};
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{agent, answer, entries, finished, note, one_call, release, run, session, stamp, tenant};
use crate::journal::{Append, Bind, Reach, RunFilter, Search, SessionKey, Start, Write};
use crate::{Answer, Memory, Store, ledger};

mod state;

pub async fn does_what_the_reference_does_1(subject: Subject) {
    same(subject, 1).await;
}

pub async fn does_what_the_reference_does_2(subject: Subject) {
    same(subject, 2).await;
}

pub async fn does_what_the_reference_does_3(subject: Subject) {
    same(subject, 3).await;
}

pub async fn does_what_the_reference_does_4(subject: Subject) {
    same(subject, 4).await;
}

/// Enough for every pair of operations to meet, few enough for a second.
const STEPS: usize = 250;
/// So few runs, sessions and keys that most operations meet something that is there.
const RUNS: u64 = 24;
const SESSIONS: [&str; 3] = ["s1", "s2", "s3"];
const AGENTS: [&str; 2] = ["support", "sales"];
const TENANTS: [&str; 3] = ["acme", "umbrella", "hooli"];
const RELEASES: [&str; 2] = ["one", "two"];

/// Drives a new store and the reference with the operations that `seed` draws.
pub async fn same(subject: Subject, seed: u64) {
    let reference = Memory::new();
    let mut draw = Draw(seed);
    for step in 0..STEPS {
        let at = Step { seed, step, stores: [&*subject.store, &reference] };
        match draw.below(16) {
            0 => at.artifact(&mut draw).await,
            1 | 2 => at.ledger(&mut draw).await,
            3 => at.expire(&mut draw).await,
            4..=8 => at.state(&mut draw).await,
            _ => at.journal(&mut draw).await,
        }
        at.compare_reads(&mut draw).await;
        at.compare_state(&mut draw).await;
    }
}

struct Step<'a> {
    seed: u64,
    step: usize,
    stores: [&'a dyn Store; 2],
}

impl Step<'_> {
    async fn artifact(&self, draw: &mut Draw) {
        let bytes = vec![b'x'; draw.index(5)];
        let [ours, theirs] = self.stores;
        let digest = ours.artifact_put(&bytes).await.unwrap();
        self.equal("artifact_put", &digest, &theirs.artifact_put(&bytes).await.unwrap());
        let read = ours.artifact_get(digest).await.unwrap();
        self.equal("artifact_get", &read, &theirs.artifact_get(digest).await.unwrap());
    }

    async fn ledger(&self, draw: &mut Draw) {
        let [ours, theirs] = self.stores;
        let mut head = theirs.ledger_head().await.unwrap();
        if draw.one_in(4) {
            head.seq = LedgerSeq(head.seq.0.saturating_sub(1));
        }
        let entries = entries(head, 1 + draw.index(3), &format!("step {}", self.step));
        let append = ledger::Append { entries, answer: draw.answer(), fence: None };
        let ours = format!("{:?}", ours.ledger_append(append.clone()).await);
        self.equal("ledger_append", &ours, &format!("{:?}", theirs.ledger_append(append).await));
    }

    async fn expire(&self, draw: &mut Draw) {
        let before = Timestamp(draw.below(60));
        let [ours, theirs] = self.stores;
        let forgotten = ours.answers_expire(before).await.unwrap();
        self.equal("answers_expire", &forgotten, &theirs.answers_expire(before).await.unwrap());
    }

    async fn journal(&self, draw: &mut Draw) {
        let batch: Vec<Write> = (0..=draw.index(6)).map(|_| draw.write()).collect();
        let [ours, theirs] = self.stores;
        let ours = format!("{:?}", ours.journal_write(batch.clone().into()).await);
        let theirs = format!("{:?}", theirs.journal_write(batch.clone().into()).await);
        self.equal(&format!("journal_write of {batch:?}"), &ours, &theirs);
    }

    async fn compare_reads(&self, draw: &mut Draw) {
        let [ours, theirs] = self.stores;
        let (after, limit) = (LedgerSeq(draw.below(9)), draw.index(9));
        let head = ours.ledger_head().await.unwrap();
        self.equal("ledger_head", &head, &theirs.ledger_head().await.unwrap());
        let read = ours.ledger_read(after, limit).await.unwrap();
        self.equal("ledger_read", &read, &theirs.ledger_read(after, limit).await.unwrap());
        if let Some(Answer { key, .. }) = draw.answer() {
            let read = ours.answer_get(&key).await.unwrap();
            self.equal("answer_get", &read, &theirs.answer_get(&key).await.unwrap());
        }

        let id = run(draw.below(RUNS));
        let read = ours.run_get(id).await.unwrap();
        self.equal("run_get", &read, &theirs.run_get(id).await.unwrap());
        let from = EventSeq(draw.below(12));
        let read = ours.run_events(id, from, limit).await.unwrap();
        self.equal("run_events", &read, &theirs.run_events(id, from, limit).await.unwrap());
        let (filter, before) = (draw.filter(), draw.one_in(3).then_some(id));
        let read = ours.run_list(&filter, before, limit).await.unwrap();
        let expected = theirs.run_list(&filter, before, limit).await.unwrap();
        self.equal(&format!("run_list of {filter:?}"), &read, &expected);

        let text = draw.of(&["n", "GOLD", "messages", "ü", "s1", "nothing"]).parse().unwrap();
        let reach = Reach { runs_max: draw.below(RUNS), ..Reach::ALL };
        let search = Search { filter, text, reach };
        let read = ours.run_search(&search, before, limit).await.unwrap();
        let expected = theirs.run_search(&search, before, limit).await.unwrap();
        self.equal(&format!("run_search of {search:?}"), &read, &expected);

        let deployment = draw.deployment();
        let read = ours.run_open(deployment).await.unwrap();
        self.equal("run_open", &read, &theirs.run_open(deployment).await.unwrap());
        let read = ours.run_open_total().await.unwrap();
        self.equal("run_open_total", &read, &theirs.run_open_total().await.unwrap());
        let key = SessionKey {
            agent: agent(draw.of(&AGENTS)),
            tenant: tenant(draw.of(&TENANTS)),
            session: session(draw.of(&SESSIONS)),
        };
        let read = ours.session_get(&key).await.unwrap();
        self.equal("session_get", &read, &theirs.session_get(&key).await.unwrap());
        let read = ours.sessions_recent(limit).await.unwrap();
        self.equal("sessions_recent", &read, &theirs.sessions_recent(limit).await.unwrap());
    }

    fn equal<T: PartialEq + Debug>(&self, what: &str, ours: &T, reference: &T) {
        assert_eq!(ours, reference, "seed {}, step {}: {what}", self.seed, self.step);
    }
}

/// SplitMix64: the same numbers from the same seed, everywhere.
#[derive(Clone)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index(choices.len())]
    }

    fn deployment(&mut self) -> DeploymentId {
        DeploymentId(self.below(3))
    }

    fn answer(&mut self) -> Option<Answer> {
        let (key, at) = (self.below(12), self.below(60));
        self.one_in(3).then(|| answer("key", &format!("k{key}"), at))
    }

    fn event(&mut self) -> Event {
        match self.below(8) {
            0 => Event::Started,
            1 => Event::Paused { why: "p".to_owned() },
            2 => Event::Parked { why: "q".to_owned() },
            3 => Event::Resumed,
            4 if self.one_in(2) => finished(),
            5 => one_call().swap_remove(self.index(2)).1,
            6 => Event::Drift { call: 1, pinned: "a".to_owned(), served: "b".to_owned(), provider: None },
            _ => note("n"),
        }
    }

    fn events(&mut self, count: usize) -> Vec<(Timestamp, Event)> {
        (0..count).map(|_| (Timestamp(self.below(5_000)), self.event())).collect()
    }

    fn write(&mut self) -> Write {
        let id = self.below(RUNS);
        if self.one_in(2) {
            return Write::Start(Box::new(self.start(id)));
        }
        let expected = self.one_in(2).then(|| EventSeq(self.below(6)));
        let count = 1 + self.index(3);
        let events = self.events(count);
        Write::Append(Append { run: run(id), expected, events, answer: self.answer(), follows: None })
    }

    fn start(&mut self, id: u64) -> Start {
        let mut stamp = stamp(id);
        stamp.agent = agent(self.of(&AGENTS));
        stamp.tenant = tenant(self.of(&TENANTS));
        stamp.session = self.one_in(2).then(|| session(self.of(&SESSIONS)));
        stamp.deployment = self.deployment();
        stamp.release = release(self.of(&RELEASES));
        stamp.single = self.one_in(2);
        stamp.shadow = self.one_in(3).then(|| run(1));
        let replaces = self.one_in(2).then(|| self.deployment());
        let bind = (stamp.session.is_some() && self.one_in(2)).then_some(Bind { replaces });
        let count = self.index(3);
        let (events, queued, at) = (self.events(count), self.one_in(4), Timestamp(self.below(5_000)));
        Start { stamp, at, queued, events, bind, current: false, answer: self.answer() }
    }

    fn filter(&mut self) -> RunFilter {
        RunFilter {
            agent: self.one_in(4).then(|| agent(self.of(&AGENTS))),
            release: self.one_in(4).then(|| release(self.of(&RELEASES))),
            deployment: self.one_in(4).then(|| self.deployment()),
            status: self.one_in(4).then(|| RunStatus::ALL[self.index(RunStatus::ALL.len())]),
            outcome: self.one_in(4).then(|| Outcome::ALL[self.index(Outcome::ALL.len())]),
            session: self.one_in(4).then(|| session(self.of(&SESSIONS))),
            tenants: self.one_in(3).then(|| {
                let count = self.index(3);
                (0..count).map(|_| tenant(self.of(&TENANTS))).collect()
            }),
            single: self.one_in(4).then(|| self.one_in(2)),
            shadow: self.one_in(4).then(|| self.one_in(2)),
            gate: self.one_in(4).then(|| self.one_in(2)),
            replica: None,
            since: self.one_in(4).then(|| Timestamp(self.below(5_000))),
            until: self.one_in(4).then(|| Timestamp(self.below(5_000))),
        }
    }
}
