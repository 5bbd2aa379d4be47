//! The rollout controller: looks at every rollout under way, does what the decision says, and says why nothing happens.
//!
//! What happens is decided by `pinrail_domain::rollout::look`, from the world and from what was observed; this is
//! only its executor. It may be stopped and started at any point: all it knows is in the ledger and in the journal. Each act is
//! one append that names the generation of the rollout that it was decided on, so that of two executors, or of one that
//! slept, the slower one does nothing.
//!
//! It looks again whenever something was observed or the ledger moved (at most every [`PAUSE`], and more rarely where a look
//! takes long, so that traffic can't keep it busy), when a decision named a time, and every [`IDLE`] in any case.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::deploy::{self, Grounds, RollBackRefused, TakeBack};
use pinrail_domain::deployment::Gate;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::rollout::acts::{self, RolloutRefused};
use pinrail_domain::rollout::outlook::{look, sentence, step_words, stop_words};
use pinrail_domain::rollout::{Action, Evidence, Facts, Outlook, Rollout, Step, Stop};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use tokio::sync::watch;

use crate::deploy::{Flipped, flipped};
use crate::{By, CommitError, Committed, Control, Inner, errors, leader, observe, tasks};

mod history;
mod outline;
mod timeline;

pub use history::Watched;

/// The shortest time between two looks: a breach is acted on in well under a second.
const PAUSE: Duration = Duration::from_millis(100);
/// Where looks take long, since there is much to judge, they take at most one part in so many of a core; but never is the
/// pause longer than [`PAUSE_MAX`].
const PAUSE_LOOKS: u32 = 9;
const PAUSE_MAX: Duration = Duration::from_millis(700);
/// The longest time between two looks. Deadlines are known beforehand; this is for clocks that jump.
const IDLE: Duration = Duration::from_secs(5);
/// How soon what couldn't be done is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the controller remembers between looks; nothing that a restart may not forget.
#[derive(Default)]
pub(crate) struct Rollouts {
    /// Why the last act of a rollout wasn't carried out.
    refused: Mutex<BTreeMap<DeploymentId, String>>,
}

/// Where a rollout stands, what was observed, and what comes.
#[derive(Clone, Debug)]
pub struct Standing {
    pub rollout: Rollout,
    pub facts: Facts,
    pub outlook: Outlook,
    /// All of it in a few sentences.
    pub sentence: String,
    /// Why the controller couldn't do what the outlook says; it tries again.
    pub refused: Option<String>,
}

/// Why an act of the controller wasn't carried out.
#[derive(Debug, thiserror::Error)]
enum ActRefused {
    #[error(transparent)]
    Rollout(#[from] RolloutRefused),
    #[error(transparent)]
    RollBack(#[from] RollBackRefused),
}

impl Control {
    /// Conducts all rollouts while this replica leads, until the control plane is gone.
    pub fn conduct_rollouts(&self) {
        tasks::spawn(conduct(Arc::downgrade(&self.inner)));
    }

    /// Looks at every rollout once and does what is to be done; gives the time of the next thing that happens by
    /// itself.
    pub async fn conduct_once(&self) -> Next {
        let snapshot = self.snapshot();
        self.inner.observer.follow(&snapshot.world);
        let mut next = Next::default();
        let ids: Vec<DeploymentId> = observe::under_way(&snapshot.world).map(|rollout| rollout.id).collect();
        for id in ids {
            let Some((rollout, facts, outlook)) = self.look_at(id) else { continue };
            let Some(action) = outlook.action.clone() else {
                self.inner.rollouts.settled(id);
                next.at = [next.at, outlook.at].into_iter().flatten().min();
                continue;
            };
            match self.act(id, &rollout, &facts, &outlook, action).await {
                Ok(()) => {
                    self.inner.rollouts.settled(id);
                    next.acted = true;
                }
                Err(why) => {
                    tracing::warn!(deployment = %id, why, "a rollout's next act was not carried out; trying again");
                    self.inner.rollouts.refused(id, why);
                    next.failed = true;
                }
            }
        }
        next
    }

    /// Where a deployment's rollout stands; none where it has none under way.
    #[must_use]
    pub fn standing(&self, id: DeploymentId) -> Option<Standing> {
        let snapshot = self.snapshot();
        self.inner.observer.follow(&snapshot.world);
        let deployment = snapshot.world.deployments.get(&id)?;
        let (rollout, facts, outlook) = self.look_at(id)?;
        let sentence = sentence(deployment, &facts, &outlook);
        let refused = self.inner.rollouts.why_refused(id);
        Some(Standing { rollout, facts, outlook, sentence, refused })
    }

    /// Stops a rollout: nothing widens by itself any more. Guardrails go on watching.
    pub async fn freeze(
        &self,
        by: By,
        id: DeploymentId,
    ) -> Result<Committed<Flipped>, CommitError<RolloutRefused>> {
        let reason = by.reason.clone();
        let seen = self.seen(id);
        self.change(by, id, |world| acts::freeze(world, id, &reason, seen.clone())).await
    }

    /// Lets a stopped rollout go on, or ends a pause.
    pub async fn resume(
        &self,
        by: By,
        id: DeploymentId,
    ) -> Result<Committed<Flipped>, CommitError<RolloutRefused>> {
        self.change(by, id, |world| acts::resume(world, id, self.inner.clock.now())).await
    }

    /// Approves the rollout's current step.
    pub async fn approve(
        &self,
        by: By,
        id: DeploymentId,
    ) -> Result<Committed<Flipped>, CommitError<RolloutRefused>> {
        self.change(by, id, |world| acts::approve(world, id)).await
    }

    /// Records the verdict of an eval that was run elsewhere.
    pub async fn record_gate(
        &self,
        by: By,
        id: DeploymentId,
        gate: Gate,
    ) -> Result<Committed<Flipped>, CommitError<RolloutRefused>> {
        self.change(by, id, |world| acts::record_gate(world, id, gate.clone())).await
    }

    async fn change(
        &self,
        by: By,
        id: DeploymentId,
        decide: impl Fn(&World) -> Result<Body, RolloutRefused>,
    ) -> Result<Committed<Flipped>, CommitError<RolloutRefused>> {
        self.commit(by, |world| Ok((vec![decide(world)?], id)), flipped).await
    }

    /// What the last look saw of a rollout under way: nothing is worked out anew, as nothing may hold up a person (I7).
    #[must_use]
    pub fn seen(&self, id: DeploymentId) -> Option<Box<Evidence>> {
        self.inner.observer.known(id).map(|facts| Box::new(facts.evidence()))
    }

    fn look_at(&self, id: DeploymentId) -> Option<(Rollout, Facts, Outlook)> {
        let snapshot = self.snapshot();
        let mut facts = self.inner.observer.facts(id);
        // What was never made is not in the journal.
        facts.pairs.dropped = self.shadow_counts(id).dropped;
        let outlook = look(&snapshot.world, id, &facts, self.inner.clock.now())?;
        let rollout = snapshot.world.deployments.get(&id)?.rollout.as_deref()?.clone();
        Some((rollout, facts, outlook))
    }

    /// Carries out one action, as one append.
    async fn act(
        &self,
        id: DeploymentId,
        rollout: &Rollout,
        facts: &Facts,
        outlook: &Outlook,
        action: Action,
    ) -> Result<(), String> {
        let (generation, evidence) = (rollout.generation, facts.evidence());
        let term = self.inner.leader.term();
        let by = |reason: String| By { actor: Actor::System, reason, idempotency: None, term };
        let done = match action {
            Action::Enter(step) => {
                let proven = through(rollout.current(), facts);
                let enter = |world: &World| {
                    let body = acts::enter(world, id, generation, step, evidence.clone())?;
                    Ok::<_, ActRefused>((vec![body], id))
                };
                self.commit(by(cut(proven)), enter, flipped).await.map(drop).map_err(|e| errors::chain(&e))
            }
            Action::Stop(why) => {
                let reason = by(cut(stop_reason(&self.snapshot().world, id, &why)));
                let stop = |world: &World| {
                    Ok::<_, ActRefused>((
                        acts::stop(world, id, generation, why.clone(), evidence.clone())?,
                        id,
                    ))
                };
                self.commit(reason, stop, flipped).await.map(drop).map_err(|e| errors::chain(&e))
            }
            Action::Promote => {
                let grounds = Grounds::Rollout { generation, evidence: Box::new(evidence) };
                let reason = by(cut(format!("the rollout is through: {}", proof(facts))));
                self.promote_on(reason, id, &grounds, false).await.map(drop).map_err(|e| errors::chain(&e))
            }
            Action::RollBack { guardrail: _, why } => {
                let what = TakeBack { evidence: Some(Box::new(evidence)), ..TakeBack::default() };
                let back = |world: &World| {
                    // Whoever promoted it meanwhile saw more than this look did.
                    acts::check_generation(world, id, generation)?;
                    Ok::<_, ActRefused>((vec![deploy::roll_back(world, id, &what)?], id))
                };
                let done = self.commit(by(cut(why)), back, flipped).await;
                done.map(|done| self.inner.flips.note(id, done.took_us)).map_err(|e| errors::chain(&e))
            }
        };
        if done.is_ok() {
            tracing::info!(deployment = %id, next = %outlook.next, "a rollout moved on");
        }
        done
    }
}

/// What comes after a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// Something was done, so that looking again at once may find more.
    pub acted: bool,
    /// Something couldn't be done.
    pub failed: bool,
    /// When something happens by itself.
    pub at: Option<Timestamp>,
}

impl Rollouts {
    fn refused(&self, id: DeploymentId, why: String) {
        self.lock().insert(id, why);
    }

    fn settled(&self, id: DeploymentId) {
        self.lock().remove(&id);
    }

    fn why_refused(&self, id: DeploymentId) -> Option<String> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DeploymentId, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn conduct(control: Weak<Inner>) {
    let Some((mut heads, mut observed)) =
        control.upgrade().map(|inner| (inner.heads.subscribe(), inner.observer.changed()))
    else {
        return;
    };
    loop {
        if !leader::until_leading(&control).await {
            return;
        }
        // What comes from here on is looked at again.
        heads.mark_unchanged();
        observed.mark_unchanged();
        let Some(inner) = control.upgrade() else { return };
        let control_now = Control { inner };
        let clock = Arc::clone(&control_now.inner.clock);
        let start = clock.ticks();
        let next = control_now.conduct_once().await;
        drop(control_now);
        if next.acted {
            continue;
        }
        let look = Duration::from_micros(clock.ticks().us_since(start));
        let pause = (look * PAUSE_LOOKS).clamp(PAUSE, PAUSE_MAX);
        if !wait(&mut heads, &mut observed, next, clock.now(), pause).await {
            return;
        }
    }
}

/// Waits for a reason to look again; false when the control plane is gone.
async fn wait(
    heads: &mut watch::Receiver<pinrail_domain::id::LedgerSeq>,
    observed: &mut watch::Receiver<u64>,
    next: Next,
    now: Timestamp,
    pause: Duration,
) -> bool {
    let until = next.at.map_or(IDLE, |at| Duration::from_millis(at.ms_since(now)).clamp(PAUSE, IDLE));
    let until = if next.failed { RETRY.min(until) } else { until };
    tokio::time::sleep(pause).await;
    tokio::select! {
        biased;
        changed = heads.changed() => changed.is_ok(),
        changed = observed.changed() => changed.is_ok(),
        () = tokio::time::sleep(until) => true,
    }
}

/// Why a step is through.
fn through(step: &Step, facts: &Facts) -> String {
    let what = step_words(step);
    match step {
        Step::Gate => "the gate passed".to_owned(),
        Step::Shadow { .. } => {
            let far = facts.pairs.divergence.map(|far| format!(", by {far:.3} apart on average"));
            format!("{what} is through: {} answers compared{}", facts.pairs.compared, far.unwrap_or_default())
        }
        Step::Canary { .. } => {
            format!("{what} is through: {} runs of the candidate; {}", facts.runs.candidate, proof(facts))
        }
        Step::Pause { .. } => format!("{what} is over; {}", proof(facts)),
        Step::Approve { .. } => format!("{what} was given; {}", proof(facts)),
    }
}

/// Why a rollout is stopped, and where the dial isn't turned for it.
fn stop_reason(world: &World, id: DeploymentId, why: &Stop) -> String {
    let mut reason = stop_words(why);
    for (place, refused) in acts::dials_left(world, id, why) {
        reason.push_str(&format!("; not at {place}: {refused}"));
    }
    reason
}

/// What was proven, guardrail by guardrail.
fn proof(facts: &Facts) -> String {
    let sentences: Vec<String> = facts.findings.iter().map(|finding| finding.sentence()).collect();
    if sentences.is_empty() { "no guardrail watches".to_owned() } else { sentences.join("; ") }
}

/// A reason that the ledger takes.
fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(pinrail_domain::ledger::REASON_BYTES_MAX));
    reason
}
