//! Members: client-side caches that follow the epoch, drop what they cached when it rises, and acknowledge.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinrail_control::Control;
use pinrail_control::state::Reader;
use pinrail_domain::id::{Epoch, StateSeq};
use pinrail_domain::state::{Moment, Space};

/// A member, as the others see it.
#[derive(Clone, Default)]
pub(crate) struct Member(Arc<Mutex<Known>>);

/// What a member knows.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// The newest epoch that it acknowledged.
    pub acknowledged: Epoch,
    pub cache: Vec<(Space, Moment, Vec<StateSeq>)>,
    /// How often it filled its cache.
    pub fills: u64,
    pub fault: Option<String>,
}

/// Pause after a read failed.
const RETRY: Duration = Duration::from_millis(50);

impl Member {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the epoch until the control plane is gone.
    pub(crate) async fn follow(self, control: Control, spaces: Vec<Space>) {
        let mut epochs = control.epochs();
        loop {
            let epoch = *epochs.borrow_and_update();
            let shown = control.snapshot().world.epoch;
            if shown < epoch || epoch < self.known().acknowledged {
                let acknowledged = self.known().acknowledged;
                self.known().fault =
                    Some(format!("a member was told epoch {epoch}, after {acknowledged}, and shown {shown}"));
            }
            match fill(&control, &spaces).await {
                Some(cache) => {
                    let mut known = self.known();
                    known.fills += 1;
                    known.acknowledged = epoch;
                    known.cache = cache;
                }
                None => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            if epochs.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn fill(control: &Control, spaces: &[Space]) -> Option<Vec<(Space, Moment, Vec<StateSeq>)>> {
    let mut cache = Vec::with_capacity(spaces.len());
    let everybody = Reader::everybody();
    for space in spaces {
        let seen = control.states().view(space, &everybody, |sight| {
            let seqs = sight.shown().iter().map(|place| sight.index.seq(place)).collect();
            (space.clone(), sight.view.at, seqs)
        });
        cache.push(seen.await.ok()?);
    }
    Some(cache)
}
