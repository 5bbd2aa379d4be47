//! What is known of model providers from looking at them: probes of the warm set, and the lists that providers publish.
//!
//! The leader looks, and so does whichever replica a person asks to; the store keeps the newest sighting of each subject. Where
//! others look as well, what the store holds is read every [`LOOK_EVERY`], and whenever leadership changes hands: so every replica
//! says the same of what can be called, and whoever begins to lead goes on from what the last one saw. Of two sightings of one subject the
//! later counts, and of two at the same moment the store's.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_store::sightings::SightingKind;
use pinrail_store::{Store, StoreError};

use crate::lists::Lists;
use crate::warm::Probes;
use crate::{Inner, errors, tasks};

/// What was last seen, in memory.
#[derive(Default)]
pub(crate) struct Sightings {
    pub(crate) probes: Probes,
    pub(crate) lists: Lists,
}

/// How often what others saw is read: probes come by the hour and lists by the day, and a person who compares two replicas waits this
/// long at most.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl Sightings {
    /// What earlier processes saw, and others. What can't be read is looked at again.
    pub(crate) async fn read(store: &dyn Store) -> Sightings {
        let sightings = Sightings::default();
        if let Err(error) = sightings.take_in(store).await {
            tracing::warn!(%error, "what was seen of providers cannot be read; it is looked at again");
        }
        sightings
    }

    async fn take_in(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.probes.take_in(&store.sighting_list(SightingKind::Probe).await?);
        self.lists.take_in(&store.sighting_list(SightingKind::List).await?);
        Ok(())
    }
}

/// Follows what others see, where there may be others.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.store.is_shared() {
        tasks::spawn(follow(Arc::downgrade(inner)));
    }
}

async fn follow(control: Weak<Inner>) {
    let Some(mut standing) = control.upgrade().map(|inner| inner.leader.follow()) else { return };
    let mut failing = false;
    loop {
        tokio::select! {
            biased;
            // The sender lives as long as the control plane.
            changed = standing.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Some(inner) = control.upgrade() else { return };
        let read = inner.sightings.take_in(&*inner.store).await;
        if let Err(error) = &read
            && !failing
        {
            let error = errors::chain(error);
            tracing::warn!(error, "what other replicas saw of providers can't be read; trying again");
        }
        failing = read.is_err();
    }
}
