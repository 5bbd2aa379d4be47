//! Turns of the dial that the ledger doesn't hold yet: in force in this process, kept for its restart, and recorded when
//! the store is back.
//!
//! They only ever take away ([`Routes::with`]). Whoever swaps the snapshot does so while holding the list's lock, so that
//! no swap shows a world without them.
//!
//! A turn is about one database's agents. Those that were kept for another one, by a process that was started with it, are neither in force
//! nor recorded here; they stay in the notebook for that one.
//!
//! Where others write to the ledger, a person may have turned the dial up since, at a replica that had the store back sooner. Then
//! the turn is old news, and is dropped with a warning. Turning up always waits for the ledger, so an entry that turns the dial
//! up, of a later time than the turn, is a later decision; one that turns it down may be another turn that waited to be recorded.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::dial::{DialRefused, Place, Position, Setting, Settings, Turn, turn};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, LedgerSeq};
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::routes::Routes;
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::append::READ_ENTRIES;
use crate::{By, CommitError, Control, Inner, Snapshot, tasks};

/// Keeps a few lines for the next start, without the store.
pub trait Notebook: Send + Sync {
    /// What was written last; none where nothing was.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces what is kept, durably.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
}

/// The turns that the ledger doesn't hold yet.
pub(crate) struct Unrecorded {
    notebook: Option<Arc<dyn Notebook>>,
    /// What was kept for other databases.
    others: Vec<Note>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
pub(crate) struct Kept {
    notes: Vec<Note>,
    /// A task writes them to the ledger.
    followed: bool,
}

/// One turn. Kept in a file: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    turn: Turn,
    actor: Actor,
    reason: String,
    at: Timestamp,
    /// The hash of the first entry of the ledger that it is for. Not there in what was kept before that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<Digest>,
    /// What was known of the ledger then; none in a note of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
}

/// The ledger as it was shown when a turn was made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// Its last entry.
    seq: LedgerSeq,
    /// Where the dial of the turn's place stood.
    stood: Position,
}

/// What the ledger says of a turn's place since the turn was made.
struct Since {
    /// How far it was read, and where the dial stands by then.
    last: Seen,
    /// The entry that turned it up.
    up: Option<LedgerSeq>,
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Became {
    /// It is in the ledger, or as much is taken away there.
    Recorded,
    Overtaken,
    /// The ledger holds more than was read.
    Unread,
}

/// Each attempt loses only to an entry that somebody else appended.
const LOOKS_MAX: usize = 8;
/// Pause between two attempts to write them to the ledger.
const RETRY: Duration = Duration::from_secs(1);

impl Unrecorded {
    /// Reads what an earlier process left. A notebook that can't be read is said to be so, and keeps nobody from starting.
    pub(crate) fn open(notebook: Option<Arc<dyn Notebook>>, world: &World) -> Unrecorded {
        let read = notebook.as_ref().map_or(Ok(None), |notebook| notebook.read());
        let notes = read.and_then(|bytes| match bytes {
            Some(bytes) if !bytes.is_empty() => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Some(_) | None => Ok(Vec::new()),
        });
        let notes = notes.unwrap_or_else(|error| {
            tracing::error!(%error, "turns of the dial that were not recorded cannot be read: look at `pinrail dial show`");
            Vec::new()
        });
        let ours = |note: &Note| note.ledger.is_none() || note.ledger == world.origin;
        let (notes, others): (Vec<Note>, Vec<Note>) = notes.into_iter().partition(ours);
        if !others.is_empty() {
            let turns = others.len();
            tracing::warn!(
                turns,
                "turns of the dial wait here to be recorded in another database; they are left alone"
            );
        }
        Unrecorded { notebook, others, kept: Mutex::new(Kept { notes, followed: false }) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, kept: &Kept) {
        let Some(notebook) = &self.notebook else { return };
        let notes: Vec<&Note> = kept.notes.iter().chain(&self.others).collect();
        let bytes = serde_json::to_vec(&notes).expect("turns are plain data");
        if let Err(error) = notebook.write(&bytes) {
            // It is in force all the same, until this process ends.
            tracing::error!(%error, "turns of the dial that were not recorded cannot be kept for the next start");
        }
    }
}

impl Kept {
    /// The world as readers see it.
    pub(crate) fn shown(&self, mut snapshot: Snapshot) -> Snapshot {
        if !self.notes.is_empty() {
            snapshot.routes = Routes::with(&snapshot.world, &self.settings());
        }
        snapshot
    }

    /// As settings, each with a place in the ledger that no entry has.
    fn settings(&self) -> Settings {
        let setting = |(place, note): (u64, &Note)| {
            let setting = Setting {
                position: note.turn.position,
                release: note.turn.release,
                text: note.turn.text.clone(),
                since: note.at,
                seq: LedgerSeq(u64::MAX - place),
                by: note.actor.clone(),
                reason: note.reason.clone(),
            };
            (note.turn.place.clone(), Arc::new(setting))
        };
        (0..).zip(&self.notes).map(setting).collect()
    }
}

impl Control {
    /// The places where the dial stands as the ledger doesn't say yet.
    #[must_use]
    pub fn dials_unrecorded(&self) -> Vec<Place> {
        self.inner.unrecorded.lock().notes.iter().map(|note| note.turn.place.clone()).collect()
    }

    /// Puts a turn in force without the ledger.
    pub(super) async fn turn_unrecorded(&self, by: By, wish: &Turn) -> Epoch {
        let at = self.inner.clock.now();
        let (ledger, seen) = {
            let world = &self.snapshot().world;
            let stood = world.dials.get(&wish.place).map_or(Position::Full, |known| known.position);
            (world.origin, Some(Seen { seq: world.head.seq, stood }))
        };
        let note = Note { turn: wish.clone(), actor: by.actor, reason: by.reason, at, ledger, seen };
        let mut kept = self.inner.unrecorded.lock();
        kept.notes.retain(|known| known.turn.place != wish.place);
        kept.notes.push(note);
        show(&self.inner, &kept);
        self.inner.unrecorded.save(&kept);
        let follows = std::mem::replace(&mut kept.followed, true);
        drop(kept);
        if !follows {
            tasks::spawn(record_all(Arc::downgrade(&self.inner)));
        }
        self.snapshot().world.epoch
    }

    /// Writes what stands at a place to the ledger, if it isn't there.
    pub(super) async fn record_dial(&self, place: &Place) -> Result<(), CommitError<DialRefused>> {
        let note = self.inner.unrecorded.lock().notes.iter().find(|note| note.turn.place == *place).cloned();
        match note {
            Some(note) => self.record(note).await,
            None => Ok(()),
        }
    }

    async fn record(&self, note: Note) -> Result<(), CommitError<DialRefused>> {
        let by = By { actor: note.actor.clone(), reason: note.reason.clone(), idempotency: None, term: None };
        let place = &note.turn.place;
        // Where nobody else writes, whoever turned it up has recorded this first.
        let seen = note.seen.filter(|_| self.inner.store.is_shared());
        let mut since = seen.map(|last| Since { last, up: None });
        for _ in 0..LOOKS_MAX {
            if let Some(since) = &mut since {
                self.read_on(&note, since).await.map_err(CommitError::Store)?;
            }
            let committed =
                self.commit(by.clone(), |world| note.decide(world, since.as_ref()), |_, became| became);
            match committed.await.map(|committed| committed.value) {
                Ok(Became::Unread) => continue,
                Ok(Became::Recorded) => {}
                Ok(Became::Overtaken) => {
                    let (position, up) = (note.turn.position, since.and_then(|since| since.up));
                    tracing::warn!(%place, %position, up = up.map(|up| up.0), "the dial was turned up elsewhere since; an earlier turn is dropped");
                }
                Err(CommitError::Refused(refused)) => {
                    tracing::warn!(%place, %refused, "a turn of the dial makes no sense any more and is dropped");
                }
                Err(error) => return Err(error),
            }
            let mut kept = self.inner.unrecorded.lock();
            kept.notes.retain(|known| *known != note);
            show(&self.inner, &kept);
            self.inner.unrecorded.save(&kept);
            return Ok(());
        }
        Err(CommitError::Contended)
    }

    /// Reads what the ledger holds beyond what was read.
    async fn read_on(&self, note: &Note, since: &mut Since) -> Result<(), StoreError> {
        loop {
            let entries = self.inner.store.ledger_read(since.last.seq, READ_ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            since.last.seq = last.seq;
            for entry in &entries {
                let Body::DialSet { place, position, .. } = &entry.body else { continue };
                if *place != note.turn.place {
                    continue;
                }
                if *position < since.last.stood && entry.at > note.at {
                    since.up = Some(entry.seq);
                }
                since.last.stood = *position;
            }
        }
    }
}

impl Note {
    /// What is to be appended, if anything.
    fn decide(&self, world: &World, since: Option<&Since>) -> Result<(Vec<Body>, Became), DialRefused> {
        let stands = world.dials.get(&self.turn.place).map(|known| known.position);
        // Somebody else, or the turn itself, came through: then there is nothing to take away.
        if stands.is_some_and(|stands| stands >= self.turn.position) {
            return Ok((Vec::new(), Became::Recorded));
        }
        match since {
            Some(since) if since.up.is_some() => Ok((Vec::new(), Became::Overtaken)),
            Some(since) if since.last.seq < world.head.seq => Ok((Vec::new(), Became::Unread)),
            Some(_) | None => {
                Ok((turn(world, &self.turn, &self.actor)?.into_iter().collect(), Became::Recorded))
            }
        }
    }
}

/// Goes on with what an earlier process left.
pub(crate) fn follow(inner: &Arc<Inner>) {
    let mut kept = inner.unrecorded.lock();
    if !kept.notes.is_empty() && !std::mem::replace(&mut kept.followed, true) {
        tasks::spawn(record_all(Arc::downgrade(inner)));
    }
}

/// Swaps what readers see; the caller holds the list's lock.
fn show(inner: &Inner, kept: &Kept) {
    inner.snapshot.rcu(|shown| {
        let routes = Routes::with(&shown.world, &kept.settings());
        Arc::new(Snapshot { world: shown.world.clone(), routes })
    });
}

/// Writes them to the ledger, one after the other, until none is left or the control plane is gone.
async fn record_all(control: Weak<Inner>) {
    loop {
        tokio::time::sleep(RETRY).await;
        let Some(inner) = control.upgrade() else { return };
        let next = {
            let mut kept = inner.unrecorded.lock();
            kept.followed = !kept.notes.is_empty();
            kept.notes.first().cloned()
        };
        let Some(note) = next else { return };
        let control = Control { inner };
        if let Err(error) = control.record(note).await {
            tracing::warn!(%error, "the dial's turns cannot be recorded yet");
        }
    }
}
