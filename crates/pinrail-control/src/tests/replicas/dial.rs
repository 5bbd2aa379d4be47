//! Turns of the dial that replicas were told while the store was away.

use pinrail_domain::dial::{Place, Position, Turn};
use pinrail_store::StoreError;
use pinrail_store::memory::Strike;

use super::*;
use crate::append;

impl Crew {
    async fn turn_dial(&self, replica: usize, position: Position) -> bool {
        let wish = Turn { place: Place::agent(&agent("planner")), position, release: None, text: None };
        self.replicas[replica].turn_dial(by("incident"), &wish).await.unwrap().value.recorded
    }

    /// Where the dial stands by a replica's ledger, and whether all is in there.
    fn dial(&self, replica: usize) -> (Position, bool) {
        let replica = &self.replicas[replica];
        let snapshot = replica.snapshot();
        let standing = snapshot.world.dials.get(&Place::agent(&agent("planner")));
        let position = standing.map_or(Position::Full, |standing| standing.position);
        (position, replica.dials_unrecorded().is_empty())
    }

    /// The store goes, both replicas are told where the dial is to stand, and the first has the store back sooner.
    async fn told_apart(&self, first: Position, second: Position) -> append::Turn {
        let error = StoreError::Unavailable(Arc::new(std::io::Error::other("unplugged")));
        self.store.fail_next(1_000_000, Strike::BeforeEffect, &error);
        assert!(!self.turn_dial(0, first).await);
        self.clock.0.fetch_add(1_000, Ordering::SeqCst);
        assert!(!self.turn_dial(1, second).await);
        let cut_off = append::turn(&self.replicas[1].inner).await;
        self.store.forget_failures();
        self.clock.0.fetch_add(1_000, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(self.dial(0), (first, true));
        cut_off
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_a_person_took_back_since_is_not_recorded() {
    let crew = Crew::new(2, Tier::Standard).await;
    let cut_off = crew.told_apart(Position::Off, Position::Off).await;
    assert!(crew.turn_dial(0, Position::Full).await);
    drop(cut_off);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (n, replica) in crew.replicas.iter().enumerate() {
        assert_eq!(crew.dial(n), (Position::Full, true));
        replica.runs().begin(call(None)).await.unwrap();
    }
}

/// I7: what another recorded meanwhile was decided before.
#[tokio::test(start_paused = true)]
async fn a_turn_further_down_is_recorded_whoever_was_first() {
    let crew = Crew::new(2, Tier::Standard).await;
    drop(crew.told_apart(Position::Supervised, Position::Off).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for n in 0..2 {
        assert_eq!(crew.dial(n), (Position::Off, true));
    }
}

/// I7: this replica hadn't read yet that somebody turned it up, but was told later.
#[tokio::test(start_paused = true)]
async fn a_turn_that_was_made_after_another_turned_up_is_recorded() {
    let crew = Crew::new(2, Tier::Standard).await;
    assert!(crew.turn_dial(0, Position::Supervised).await);
    crew.caught_up(&crew.replicas[1]).await;
    let cut_off = append::turn(&crew.replicas[1].inner).await;
    assert!(crew.turn_dial(0, Position::Full).await);
    crew.clock.0.fetch_add(1_000, Ordering::SeqCst);
    assert!(!crew.turn_dial(1, Position::Off).await);
    assert_eq!(crew.dial(1), (Position::Supervised, false));
    drop(cut_off);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for n in 0..2 {
        assert_eq!(crew.dial(n), (Position::Off, true));
    }
}
