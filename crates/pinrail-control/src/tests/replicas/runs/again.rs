//! What is spooled is written once and in its order, whoever dies, fails or writes in between (I2, I9).

use std::ops::Range;

use pinrail_store::journal::{Append, Write};

use super::*;

/// A replica that spools, and an open run.
async fn spooling() -> (Crew, usize, Arc<Pile>, RunId) {
    let mut crew = Crew::new(1, Tier::Standard).await;
    let pile = Arc::new(Pile::default());
    let n = crew.join_with("spooling", Some(Arc::clone(&pile) as _)).await;
    let open = crew.created(n).await;
    (crew, n, pile, open)
}

fn cut() -> StoreError {
    StoreError::Unavailable(Arc::new(std::io::Error::other("cut")))
}

impl Crew {
    /// Notes that nobody waits for, named by their numbers.
    async fn note(&self, replica: usize, run: RunId, numbers: Range<usize>) {
        for n in numbers {
            let note = vec![(START, note(&n.to_string()))];
            self.replicas[replica].runs().record(run, note).await;
        }
    }

    /// The store goes away, and notes come that are spooled: some that were tried before, and others that weren't.
    async fn outage(&self, replica: usize, run: RunId, numbers: Range<usize>) {
        self.unplug();
        let tried = numbers.start + 100;
        self.note(replica, run, numbers.start..tried).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.note(replica, run, tried..numbers.end).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(self.replicas[replica].runs().spooled() > 0);
    }

    /// The names of a run's notes, once nothing waits any more.
    async fn noted(&self, pile: &Pile, run: RunId) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(pile.left(), 0);
        let events = self.store.run_events(run, Default::default(), 9_999).await.unwrap();
        let notes = events.into_iter().filter_map(|recorded| {
            let Event::Note { name, .. } = recorded.event else { return None };
            Some(name)
        });
        notes.collect()
    }
}

fn numbers(range: Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// The chunk is in the store, and nothing says so where the next process looks.
#[tokio::test(start_paused = true)]
async fn what_a_killed_process_wrote_of_its_spool_is_not_written_again() {
    let (mut crew, n, pile, open) = spooling().await;
    crew.outage(n, open, 0..600).await;
    crew.replicas[n].drain().await;
    crew.store.forget_failures();
    let left = pile.lock().clone();
    assert!(!left.is_empty());
    let killed = crew.join_with("killed", Some(Arc::clone(&pile) as _)).await;
    assert_eq!(crew.noted(&pile, open).await, numbers(0..600));
    crew.replicas[killed].drain().await;
    *pile.lock() = left;
    crew.join_with("next", Some(Arc::clone(&pile) as _)).await;
    assert_eq!(crew.noted(&pile, open).await, numbers(0..600));
}

/// The store took it without an answer, before it was spooled or when it was played; that the last outage's is written says nothing
/// of it.
#[tokio::test(start_paused = true)]
async fn what_was_written_without_an_answer_is_not_written_again_at_a_later_outage() {
    let (crew, n, pile, open) = spooling().await;
    let never_tried = crew.created(n).await;
    for (outage, before, played) in [(0, 0, 0), (1, 1, 0), (2, 0, 1)] {
        crew.store.fail_next(before, Strike::AfterEffect, &cut());
        crew.outage(n, open, outage * 600..(outage + 1) * 600).await;
        crew.note(n, never_tried, outage * 5..(outage + 1) * 5).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        crew.store.forget_failures();
        crew.store.fail_next(played, Strike::AfterEffect, &cut());
        assert_eq!(crew.noted(&pile, open).await, numbers(0..(outage + 1) * 600));
        assert_eq!(crew.noted(&pile, never_tried).await, numbers(0..(outage + 1) * 5));
    }
}

/// Another's write that lands after the writer looked, and before it writes, moves all of it together.
#[tokio::test(start_paused = true)]
async fn what_is_spooled_keeps_its_order_where_others_write_meanwhile() {
    let (crew, n, pile, open) = spooling().await;
    crew.outage(n, open, 0..600).await;
    crew.store.forget_failures();
    // Nobody sees it yet.
    crew.store.fail_next(1, Strike::Later, &cut());
    let events = vec![(START, note("x"))];
    let append = Append { run: open, expected: None, events, answer: None, follows: None };
    assert!(crew.store.journal_write(vec![Write::Append(append)].into()).await[0].is_err());
    let expected: Vec<String> = ["x".to_owned()].into_iter().chain(numbers(0..600)).collect();
    assert_eq!(crew.noted(&pile, open).await, expected);
}

/// What was tried while a spool was played goes behind it: after its first chunk, of which all is in doubt.
#[tokio::test(start_paused = true)]
async fn what_was_written_while_the_spool_was_played_is_not_written_again() {
    let (crew, n, pile, open) = spooling().await;
    let other = crew.created(n).await;
    crew.outage(n, open, 0..1_500).await;
    crew.store.forget_failures();
    let store = crew.store.join("hook");
    pile.once_forgotten(move || store.fail_next(1, Strike::AfterEffect, &cut()));
    crew.note(n, other, 0..1).await;
    assert_eq!(crew.noted(&pile, open).await, numbers(0..1_500));
    assert_eq!(crew.noted(&pile, other).await, numbers(0..1));
    assert!(pile.hook().is_none());
}
