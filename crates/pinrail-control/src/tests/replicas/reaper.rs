//! What dead replicas left open, and who may say that they are dead.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Outcome, RunStatus, Stamp, Summary};
use pinrail_domain::key::Tenants;
use pinrail_store::Journal as _;
use pinrail_store::journal::{Start, Write};

use super::*;
use crate::runs::reaper::DEAD_MS;

impl Crew {
    /// One gateway call at each replica, none of which ends.
    async fn calls(&self) -> Vec<RunId> {
        let mut runs = Vec::new();
        for replica in &self.replicas {
            runs.push(replica.runs().begin(call(None)).await.unwrap().stamp.run);
            replica.runs().settled().await;
        }
        runs
    }

    /// Has a replica lead from now on, whoever did before.
    async fn lead(&self, replica: usize) {
        self.store.depose();
        leader::ask(&self.replicas[replica].inner).await;
        assert!(self.replicas[replica].standing_here().leads());
    }

    /// Has it go on leading for so long.
    async fn go_on_leading(&self, replica: usize, ms: u64) {
        for _ in 0..ms / 1_000 {
            self.clock.0.fetch_add(1_000, Ordering::SeqCst);
            leader::ask(&self.replicas[replica].inner).await;
        }
    }

    async fn summary(&self, run: RunId) -> Summary {
        self.store.run_get(run).await.unwrap().unwrap().summary
    }

    async fn close_after_the_dead(&self, replica: usize) -> u64 {
        self.replicas[replica].close_after_the_dead().await.unwrap()
    }
}

/// Only what the dead left, and only after a lease.
#[tokio::test(start_paused = true)]
async fn the_leader_ends_what_the_dead_left_open() {
    let mut crew = Crew::new(3, Tier::Standard).await;
    let runs = crew.calls().await;
    let kept_open = crew.replicas[0].runs().create(creating(None), &Tenants::All, None).await;
    let kept_open = kept_open.unwrap().stamp.run;
    crew.lead(1).await;
    crew.go_on_leading(1, DEAD_MS).await;
    assert_eq!(crew.close_after_the_dead(1).await, 0);
    crew.store.silence(crew.ids[0], DEAD_MS + 1);
    crew.store.silence(crew.ids[2], DEAD_MS);
    assert_eq!(crew.close_after_the_dead(1).await, 1);
    assert_eq!(crew.summary(runs[0]).await.outcome, Some(Outcome::Error));
    for run in [runs[1], runs[2], kept_open] {
        assert_eq!(crew.summary(run).await.status, RunStatus::Running);
    }
    let known = crew.store.replica_list().await.unwrap();
    assert!(known.iter().all(|replica| replica.id != crew.ids[0]));
    assert_eq!(crew.close_after_the_dead(1).await, 0);
    // Whoever opens the store ends nobody's calls.
    let new = crew.join("another").await;
    let read = crew.replicas[new].runs().get(runs[1], &Tenants::All).await.unwrap().unwrap();
    assert_eq!(read.summary.status, RunStatus::Running);
}

/// The store was away for longer than a replica may be silent: nobody was heard, and the first to be back leads.
#[tokio::test(start_paused = true)]
async fn nobody_is_given_up_for_having_been_silent_while_nobody_could_be_heard() {
    let crew = Crew::new(2, Tier::Standard).await;
    let runs = crew.calls().await;
    crew.lead(1).await;
    crew.go_on_leading(1, 2 * DEAD_MS).await;
    let silent_for_long = || crew.store.silence(crew.ids[0], 3 * DEAD_MS);
    let open = async || {
        assert_eq!(crew.close_after_the_dead(1).await, 0);
        assert_eq!(crew.summary(runs[0]).await.status, RunStatus::Running);
        assert_eq!(crew.store.replica_list().await.unwrap().len(), 3, "nobody is given up");
    };
    // It lost the lead for a moment, and has it in another term.
    crew.lead(1).await;
    silent_for_long();
    open().await;
    // The session is lost with the server, and both begin anew: what it led before doesn't count.
    crew.clock.0.fetch_add(60_000, Ordering::SeqCst);
    crew.lead(1).await;
    silent_for_long();
    open().await;
    crew.go_on_leading(1, DEAD_MS - 1_000).await;
    open().await;
    crew.go_on_leading(1, 2_000).await;
    // All of them were stopped together: the term is the same, and nobody asked meanwhile.
    crew.clock.0.fetch_add(60_000, Ordering::SeqCst);
    open().await;
    leader::ask(&crew.replicas[1].inner).await;
    open().await;
    // Who is still silent then is dead.
    crew.go_on_leading(1, DEAD_MS + 1_000).await;
    assert_eq!(crew.close_after_the_dead(1).await, 1);
    assert_eq!(crew.summary(runs[0]).await.outcome, Some(Outcome::Error));
}

/// They were nobody's: the process that was to end them wrote to another store.
#[tokio::test(start_paused = true)]
async fn the_leader_ends_what_a_copied_store_left_open() {
    let crew = Crew::new(2, Tier::Standard).await;
    let begun = crew.calls().await;
    let of = crew.store.run_get(begun[0]).await.unwrap().unwrap().stamp;
    let run = |n: u64| RunId::from_parts(1_000 + n, u128::from(n));
    let copied = |n: u64, single| {
        let stamp = Stamp { run: run(n), single, ..of.clone() };
        let (at, events) = (START, Vec::new());
        Write::Start(Box::new(Start {
            stamp,
            at,
            queued: false,
            events,
            bind: None,
            current: false,
            answer: None,
        }))
    };
    let writes = vec![copied(1, true), copied(2, false)];
    for written in crew.store.journal_write(Arc::new(writes)).await {
        written.unwrap();
    }
    crew.lead(1).await;
    assert_eq!(crew.close_after_the_dead(1).await, 0);
    crew.go_on_leading(1, DEAD_MS).await;
    assert_eq!(crew.close_after_the_dead(1).await, 1);
    assert_eq!(crew.summary(run(1)).await.outcome, Some(Outcome::Error));
    for run in [run(2), begun[0], begun[1]] {
        assert_eq!(crew.summary(run).await.status, RunStatus::Running);
    }
    assert_eq!(crew.close_after_the_dead(1).await, 0);
}
