//! Appending to the ledger and showing what that led to, as one piece that nobody can stop half-way.
//!
//! Whoever asked for a change may go away at any moment. So append and show run in a task of their own; and
//! when the store doesn't say what became of an append, the world follows the ledger until it is known.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Entry;
use pinrail_domain::world::Corrupt;
use pinrail_store::StoreError;
use pinrail_store::ledger::{Append, AppendError};
use tokio::sync::OwnedMutexGuard;

use crate::{Inner, Snapshot, errors, tasks};

/// The right to change the world; one at a time has it.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// What became of an append.
pub(crate) struct Appended {
    pub turn: Turn,
    pub result: Result<(), AppendError>,
}

/// Why the world can't follow the ledger.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Behind {
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Entries read at once while catching up.
pub(crate) const READ_ENTRIES: usize = 1_000;
/// Pause between two attempts to follow a ledger that can't be read, in milliseconds.
const FOLLOW_MS: u64 = 250;

/// Waits for the right to change the world.
pub(crate) async fn turn(inner: &Arc<Inner>) -> Turn {
    Arc::clone(&inner.committing).lock_owned().await
}

/// Appends, and shows the world after it. Runs to its end even if nobody waits for it any more.
pub(crate) async fn append(inner: &Arc<Inner>, turn: Turn, append: Append, after: Snapshot) -> Appended {
    let inner = Arc::clone(inner);
    tasks::to_the_end(async move {
        let entries = append.entries.clone();
        let result = inner.store.ledger_append(append).await;
        match &result {
            Ok(()) => inner.show(after, &entries),
            // It may have happened all the same.
            Err(AppendError::Store(_)) => follow(&inner).await,
            Err(AppendError::Moved { .. } | AppendError::Answered(_) | AppendError::Fenced { .. }) => {}
        }
        Appended { turn, result }
    })
    .await
}

/// Whether the ledger may hold more than is shown.
pub(crate) fn is_behind(inner: &Inner) -> bool {
    inner.behind.load(Ordering::Acquire)
}

/// Makes sure that an entry which the store has is shown: whoever appended it may not have come to that yet, or was
/// another replica. The caller must not have the turn.
pub(crate) async fn reach(inner: &Weak<Inner>, entry: LedgerSeq) -> Result<(), StoreError> {
    // Without a control plane there is nobody to be shown anything.
    let Some(inner) = inner.upgrade() else { return Ok(()) };
    let is_shown = || inner.snapshot.load().world.head.seq >= entry;
    if is_shown() {
        return Ok(());
    }
    let _turn = turn(&inner).await;
    if is_shown() {
        return Ok(());
    }
    match catch_up(&inner).await {
        Ok(_) => Ok(()),
        Err(Behind::Store(error)) => Err(error),
        Err(Behind::Corrupt(corrupt)) => Err(StoreError::Damaged(errors::chain(&corrupt))),
    }
}

/// Folds in what the ledger holds beyond what is shown, and tells whether that was anything. Only who has the
/// turn may call it.
pub(crate) async fn catch_up(inner: &Inner) -> Result<bool, Behind> {
    let shown = inner.snapshot.load_full();
    let mut world = shown.world.clone();
    let mut missed = Vec::new();
    loop {
        let entries = inner.store.ledger_read(world.head.seq, READ_ENTRIES).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            world.apply(entry)?;
        }
        missed.extend(entries);
    }
    inner.behind.store(false, Ordering::Release);
    let moved = world.head != shown.world.head;
    if moved {
        inner.show(Snapshot::of(world), &missed);
    }
    Ok(moved)
}

/// Catches up now, or else as soon as the ledger can be read again.
async fn follow(inner: &Arc<Inner>) {
    let Err(error) = catch_up(inner).await else { return };
    tracing::error!(error = %error, "the ledger cannot be read after a failed append; trying again");
    if !inner.behind.swap(true, Ordering::AcqRel) {
        tasks::spawn(follow_later(Arc::downgrade(inner)));
    }
}

/// Ends when the world has caught up, whoever did it, or when the control plane is gone.
async fn follow_later(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(Duration::from_millis(FOLLOW_MS)).await;
        let Some(inner) = inner.upgrade() else { return };
        let _turn = turn(&inner).await;
        if !is_behind(&inner) || catch_up(&inner).await.is_ok() {
            return;
        }
    }
}

impl Inner {
    /// Swaps what readers see: from here on this server's gateway acts on it. `entries` led there.
    fn show(&self, after: Snapshot, entries: &[Entry]) {
        let (epoch, head) = (after.world.epoch, after.world.head.seq);
        let after = {
            let unrecorded = self.unrecorded.lock();
            let after = Arc::new(unrecorded.shown(after));
            self.snapshot.store(Arc::clone(&after));
            after
        };
        self.members.flipped(entries, &after.world);
        self.epoch.send_if_modified(|shown| {
            let risen = *shown != epoch;
            *shown = epoch;
            risen
        });
        self.heads.send_replace(head);
    }
}
