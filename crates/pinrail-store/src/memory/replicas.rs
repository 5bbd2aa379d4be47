//! Replicas in memory: handles on one store, each of which passes for a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::id::RunId;
use pinrail_domain::time::Timestamp;
use tokio::sync::watch;

use super::{Kept, Memory};
use crate::StoreError;
use crate::ledger::AppendError;
use crate::replicas::{Lead, News, Reached, Replica, ReplicaId, Replicas, Term, Touched};

/// What the replicas share beside the data. One that was never joined is alone.
#[derive(Default)]
pub(super) struct Together {
    replicas: BTreeMap<ReplicaId, Known>,
    last: u64,
    leader: Option<ReplicaId>,
    term: Term,
    /// The runs of each journal batch.
    batches: Vec<(ReplicaId, Vec<RunId>)>,
    /// Who began which run.
    pub begun: BTreeMap<RunId, ReplicaId>,
}

struct Known {
    name: String,
    silent_ms: u64,
}

impl Memory {
    /// Another replica over the same store. From the first of them on the store is shared.
    #[must_use]
    pub fn join(&self, name: &str) -> Memory {
        let mut kept = self.lock();
        let together = &mut kept.together;
        if together.replicas.is_empty() {
            together.replicas.insert(self.me, Known { name: "first".to_owned(), silent_ms: 0 });
        }
        together.last += 1;
        let me = ReplicaId(together.last);
        together.replicas.insert(me, Known { name: name.to_owned(), silent_ms: 0 });
        Memory {
            kept: Arc::clone(&self.kept),
            news: Arc::clone(&self.news),
            held: Arc::clone(&self.held),
            me,
        }
    }

    /// Has whoever asks for the replicas wait for the answer, or ends that: in between, others may write.
    pub fn hold_replicas(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Makes a replica one that wasn't heard of for so long.
    pub fn silence(&self, replica: ReplicaId, silent_ms: u64) {
        if let Some(known) = self.lock().together.replicas.get_mut(&replica) {
            known.silent_ms = silent_ms;
        }
    }

    /// Ends whoever's leadership, as a lost connection does.
    pub fn depose(&self) {
        self.lock().together.leader = None;
    }

    /// Says what was written last.
    pub(super) fn tell(&self, kept: &mut Kept) {
        let (ledger, journal) = (kept.ledger.len() as u64, kept.together.batches.len() as u64);
        let state = kept.state.last().0;
        self.news.send_if_modified(|news| {
            let newer = News { ledger, state, journal, rest: news.rest + 1 };
            *news = newer;
            true
        });
    }

    pub(super) fn wrote(&self, kept: &mut Kept, runs: BTreeSet<RunId>) {
        if !runs.is_empty() {
            kept.together.batches.push((self.me, runs.into_iter().collect()));
        }
    }
}

impl Together {
    pub(super) fn check(&self, fence: Option<Term>) -> Result<(), AppendError> {
        match fence {
            Some(term) if term != self.term => Err(AppendError::Fenced { newest: self.term }),
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl Replicas for Memory {
    fn is_shared(&self) -> bool {
        !self.lock().together.replicas.is_empty()
    }

    fn replica(&self) -> ReplicaId {
        self.me
    }

    fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    async fn lead(&self) -> Result<Option<Term>, StoreError> {
        let me = self.me;
        self.write(|kept| {
            let together = &mut kept.together;
            if together.leader.is_none() {
                together.leader = Some(me);
                together.term = Term(together.term.0 + 1);
            }
            (together.leader == Some(me)).then_some(together.term)
        })
    }

    async fn resign(&self) -> Result<(), StoreError> {
        let me = self.me;
        self.write(|kept| {
            kept.together.leader.take_if(|leader| *leader == me);
        })
    }

    async fn replica_list(&self) -> Result<Vec<Replica>, StoreError> {
        // The sender lives as long as this does.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let kept = self.lock();
        let together = &kept.together;
        let replica = |(id, known): (&ReplicaId, &Known)| Replica {
            id: *id,
            name: known.name.clone(),
            started_at: Timestamp(0),
            silent_ms: known.silent_ms,
            leads: (together.leader == Some(*id))
                .then_some(Lead { term: together.term, since: Timestamp(0) }),
        };
        Ok(together.replicas.iter().map(replica).collect())
    }

    async fn replica_forget(&self, replica: ReplicaId, silent_ms: u64) -> Result<bool, StoreError> {
        self.write(|kept| {
            let replicas = &mut kept.together.replicas;
            let is_silent = replicas.get(&replica).is_some_and(|known| known.silent_ms >= silent_ms);
            is_silent && replicas.remove(&replica).is_some()
        })
    }

    async fn reached(&self) -> Result<Reached, StoreError> {
        let kept = self.lock();
        let mut reached = Reached::default();
        for (number, (replica, _)) in (1..).zip(&kept.together.batches) {
            if *replica != self.me {
                reached.0.insert(*replica, number);
            }
        }
        Ok(reached)
    }

    async fn runs_touched(&self, after: &Reached, limit: usize) -> Result<Touched, StoreError> {
        let kept = self.lock();
        let mut touched = Touched { reached: after.clone(), ..Touched::default() };
        let mut runs = BTreeSet::new();
        for (number, (replica, batch)) in (1..).zip(&kept.together.batches) {
            let known = after.0.get(replica).is_some_and(|reached| *reached >= number);
            if *replica == self.me || known {
                continue;
            }
            if runs.len() >= limit {
                touched.more = true;
                break;
            }
            runs.extend(batch.iter().copied());
            touched.reached.0.insert(*replica, number);
        }
        touched.runs = runs.into_iter().collect();
        Ok(touched)
    }
}
