//! Members that replicas share: rows of the store, judged by its clock.
//!
//! Acknowledgements that arrive together go to the store together: after a flip all members answer at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::id::{Epoch, Generation, MemberName};
use pinrail_domain::key::Scope;
use pinrail_domain::member::{Change, MemberId};
use pinrail_store::members::{Ack, EpochAcks, Heard, Lease, Leaver, Member, RegisterError, Wish};
use pinrail_store::{Store, StoreError};
use tokio::sync::oneshot;

use super::gateway::Gateway;
use super::report::{Answer, EpochReport, MemberAck, Took};
use super::{
    AckRefused, AdmitRefused, Fenced, LAPSED_KEPT_MS, MEMBERS_MAX, Register, RegisterRefused, Registered,
    Renewed, Shown, State, Unasked,
};
use crate::commit::Idempotency;
use crate::keys::Caller;
use crate::tasks;

/// The store's members.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    /// This process's own.
    pub(super) gateway: Gateway,
    queue: Queue,
}

/// Acknowledgements that wait for those under way.
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Waiting {
    ack: Ack,
    reply: oneshot::Sender<Result<Heard, StoreError>>,
}

/// Acknowledgements that go to the store at once: all that a large installation gives after a flip.
const TOGETHER_MAX: usize = 1_000;

impl Shared {
    pub fn new(store: Arc<dyn Store>) -> Shared {
        let queue = Queue { waiting: Mutex::default(), turn: Arc::default() };
        Shared { store, gateway: Gateway::default(), queue }
    }

    pub async fn register(
        &self,
        id: MemberId,
        caller: &Caller,
        wish: Register,
        idempotency: Option<Idempotency>,
    ) -> Result<Registered, RegisterRefused> {
        let lease_ms = wish.lease()?;
        let Register { name, kind, lease_ms: _ } = wish;
        let wish = Wish {
            id,
            owner: Some(caller.id()),
            name,
            kind,
            lease_ms,
            idempotency: idempotency.map(|said| (said.key.key, said.request)),
            members_max: MEMBERS_MAX,
        };
        match self.store.member_register(wish).await {
            Ok(done) => Ok(Registered {
                member: done.member,
                generation: done.generation,
                epoch: done.epoch,
                lease_ms: done.lease_ms,
                replayed: done.replayed,
            }),
            Err(RegisterError::KeyReused) => Err(RegisterRefused::KeyReused),
            Err(RegisterError::TooMany) => Err(RegisterRefused::TooMany),
            Err(RegisterError::Store(error)) => Err(Unasked(error).into()),
        }
    }

    pub async fn acknowledge(
        &self,
        caller: &Caller,
        id: MemberId,
        generation: Option<Generation>,
        epoch: Epoch,
    ) -> Result<Renewed, AckRefused> {
        let ack = Ack { member: id, owner: Some(caller.id()), generation, epoch };
        match self.hear(ack).await.map_err(Unasked)? {
            Heard::Renewed { epoch, lease_ms } => Ok(Renewed { epoch, lease_ms }),
            Heard::Ahead { epoch: newest } => Err(AckRefused::Ahead { said: epoch, epoch: newest }),
            Heard::Unknown => Err(Fenced::Unknown(id).into()),
            Heard::Refused(member) => {
                check_generation(&member, generation)?;
                check_lease(&member)?;
                // It was refused, whatever it looks like a moment later.
                Err(Fenced::Lapsed { member: id, name: member.name, for_ms: 0 }.into())
            }
        }
    }

    pub async fn admit(
        &self,
        caller: &Caller,
        id: MemberId,
        generation: Option<Generation>,
    ) -> Result<(), AdmitRefused> {
        let found = self.store.member_get(id).await.map_err(Unasked)?;
        let own = found.filter(|member| member.owner.as_deref() == Some(&*caller.id()));
        let member = own.ok_or(Fenced::Unknown(id))?;
        check_generation(&member, generation)?;
        check_lease(&member)?;
        check_epoch(&member)?;
        Ok(())
    }

    pub async fn leave(&self, caller: &Caller, id: MemberId) -> Result<Option<MemberName>, StoreError> {
        let owner = Leaver::Owner(Some(caller.id()));
        self.store.member_leave(id, if caller.may(Scope::Admin) { &Leaver::Anybody } else { &owner }).await
    }

    pub async fn list(&self) -> Result<Vec<Shown>, StoreError> {
        let members = self.store.member_list(LAPSED_KEPT_MS).await?;
        let mut shown: Vec<Shown> = members.into_iter().map(shown).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name).then(a.member.cmp(&b.member)));
        Ok(shown)
    }

    /// The report of an epoch that this process saw.
    pub async fn report(&self, change: Change) -> Result<Option<EpochReport>, StoreError> {
        let Some(EpochAcks { flipped_at, members }) = self.store.epoch_acks(change.epoch).await? else {
            return Ok(None);
        };
        let mut took: Vec<u64> = members
            .iter()
            .filter_map(|ack| match ack.answer {
                Answer::Acknowledged { took_us } => Some(took_us),
                Answer::Missing { .. } | Answer::Fenced | Answer::Left | Answer::Replaced => None,
            })
            .collect();
        took.sort_unstable();
        let member = |ack: pinrail_store::members::EpochAck| MemberAck {
            member: ack.member,
            name: ack.name,
            generation: ack.generation,
            answer: ack.answer,
        };
        let members = members.into_iter().map(member).collect();
        Ok(Some(EpochReport { change, flipped_at, took: Took::of(&took), members }))
    }

    pub async fn newest_acknowledgements(&self, flips_max: usize) -> Result<(Vec<u64>, usize), StoreError> {
        self.store.newest_acks(flips_max).await
    }

    /// Takes an acknowledgement to the store, with whatever else waits.
    async fn hear(&self, ack: Ack) -> Result<Heard, StoreError> {
        let (reply, heard) = oneshot::channel();
        self.queue.lock().push(Waiting { ack, reply });
        let turn = Arc::clone(&self.queue.turn).lock_owned().await;
        let some = self.queue.take();
        if some.is_empty() {
            drop(turn);
        } else {
            let store = Arc::clone(&self.store);
            // Others wait for it, too, and whoever asked may go away.
            tasks::to_the_end(async move {
                carry(&*store, some).await;
                drop(turn);
            })
            .await;
        }
        let gone = || {
            let why = std::io::Error::other("the acknowledgement was given up");
            StoreError::Unavailable(Arc::new(why))
        };
        heard.await.map_err(|_| gone())?
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.lock();
        let some = waiting.len().min(TOGETHER_MAX);
        waiting.drain(..some).collect()
    }
}

async fn carry(store: &dyn Store, some: Vec<Waiting>) {
    let (acks, replies): (Vec<Ack>, Vec<_>) =
        some.into_iter().map(|waiting| (waiting.ack, waiting.reply)).unzip();
    match store.members_acknowledge(&acks).await {
        Ok(heard) => {
            for (reply, heard) in replies.into_iter().zip(heard) {
                let _ = reply.send(Ok(heard));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

fn check_generation(member: &Member, said: Option<Generation>) -> Result<(), Fenced> {
    match said {
        Some(said) if said != member.generation => Err(Fenced::Replaced {
            member: member.member,
            name: member.name.clone(),
            said,
            current: member.generation,
        }),
        Some(_) | None => Ok(()),
    }
}

fn check_lease(member: &Member) -> Result<(), Fenced> {
    match member.lease {
        Lease::Lapsed { for_ms } => {
            Err(Fenced::Lapsed { member: member.member, name: member.name.clone(), for_ms })
        }
        Lease::Runs { .. } => Ok(()),
    }
}

/// Whether it acknowledged the newest epoch, or still has time to.
fn check_epoch(member: &Member) -> Result<(), Fenced> {
    match member.behind_ms {
        Some(for_ms) if for_ms > member.lease_ms => Err(Fenced::Behind {
            member: member.member,
            name: member.name.clone(),
            acknowledged: member.acknowledged,
            epoch: member.epoch,
            for_ms,
        }),
        Some(_) | None => Ok(()),
    }
}

fn shown(member: Member) -> Shown {
    let state = match (member.lease, member.behind_ms) {
        (Lease::Lapsed { for_ms }, _) => State::Lapsed { for_ms },
        (Lease::Runs { .. }, Some(for_ms)) => {
            State::Behind { epochs: member.epoch.0.saturating_sub(member.acknowledged.0), for_ms }
        }
        (Lease::Runs { .. }, None) => State::Fresh,
    };
    let lease_left_ms = match member.lease {
        Lease::Runs { left_ms } => left_ms,
        Lease::Lapsed { .. } => 0,
    };
    Shown {
        member: member.member,
        fenced: !member.counts(),
        name: member.name,
        kind: member.kind,
        generation: member.generation,
        acknowledged: member.acknowledged,
        state,
        lease_ms: Some(member.lease_ms),
        lease_left_ms: Some(lease_left_ms),
        registered_at: member.registered_at,
    }
}
