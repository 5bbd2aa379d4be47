//! What clients want next: drawn from the dice, aimed at what there is, and sometimes beside it.

use std::sync::Arc;

use pinrail_control::state::{AsOf, Reader};
use pinrail_domain::deploy::{Open, TakeBack, Traffic};
use pinrail_domain::deployment::{GateVerdict, Status};
use pinrail_domain::gate::incumbent;
use pinrail_domain::id::{DeploymentId, EventSeq, LedgerSeq, StateSeq};
use pinrail_domain::journal::Stamp;
use pinrail_domain::share::Share;
use pinrail_domain::state::view::Ranges;
use pinrail_domain::state::{Layer, Moment, Space};
use pinrail_domain::time::Timestamp;

use crate::dice::Dice;
use crate::op::state::memory_of;
use crate::op::{Change, Look, NewRun, Op, RunWork, What, Who, Write};
use crate::setting::{CRITICAL, SETTING, judgement, name};
use crate::truth::Truth;

mod dial;

/// What is known to those who plan.
pub(crate) struct Plan<'a> {
    pub dice: &'a mut Dice,
    pub truth: &'a Truth,
    /// Runs that were created.
    pub runs: &'a [Arc<Stamp>],
    /// Moments that reads answered with.
    pub moments: &'a [Moment],
}

impl Plan<'_> {
    /// The next operation.
    pub(crate) fn next(&mut self, number: u64) -> Op {
        let what = match self.dice.below(100) {
            0..=22 => What::Change(self.change(number)),
            23..=27 => What::Conduct,
            28..=57 => What::Run(self.run_work()),
            58..=79 => self.write().map_or_else(|| What::Run(self.create()), What::Write),
            _ => What::Read(self.look()),
        };
        let can_be_keyed = match &what {
            // What is in force without the ledger has no answer that could be told again.
            What::Change(Change::Turn(_)) => false,
            What::Change(_) | What::Write(_) => true,
            What::Run(work) => match work {
                RunWork::Create(_) | RunWork::Note { .. } => true,
                RunWork::Call(_)
                | RunWork::Join { .. }
                | RunWork::Pause { .. }
                | RunWork::Resume { .. }
                | RunWork::Finish { .. }
                | RunWork::Read { .. }
                | RunWork::Authorize { .. } => false,
            },
            What::Read(_) | What::Conduct => false,
        };
        Op { number, keyed: can_be_keyed && self.dice.chance(50), what }
    }

    fn change(&mut self, number: u64) -> Change {
        let world = self.truth.world();
        let lift_hold = self.dice.chance(70);
        if !self.truth.approvals_pending().is_empty() && self.dice.chance(35) {
            return self.decide();
        }
        match self.dice.below(23) {
            18..=20 => self.turn(),
            21..=22 => self.decide(),
            12..=14 => self.guide(lift_hold),
            15..=17 => self.judge(lift_hold),
            0..=3 => self.deploy(lift_hold),
            4 => Change::OpenIngest(name(&format!("job-{}", number % 3))),
            5..=7 => {
                let is_candidate = |id: &DeploymentId| match world.deployments[id].status {
                    Status::Candidate { .. } => true,
                    Status::Promoted { .. } | Status::RolledBack { .. } => false,
                };
                let id = self.deployment(is_candidate);
                Change::Promote { id, lift_hold }
            }
            8..=9 => {
                let id = self.deployment(|id| !world.deployments[id].is_rolled_back());
                Change::RollBack { id, take: self.take_back(id) }
            }
            10 => {
                let id = self.deployment(|_| true);
                Change::SetWeight { id, weight: self.share() }
            }
            _ => {
                let held = world.pointers.iter().filter(|(_, pointer)| pointer.hold.is_some());
                let held: Vec<_> = held.map(|(key, _)| key.clone()).collect();
                match self.dice.pick(&held).cloned() {
                    Some((agent, segment)) => Change::LiftHold { agent, segment },
                    None => self.deploy(lift_hold),
                }
            }
        }
    }

    /// What a person does with a rollout.
    fn guide(&mut self, lift_hold: bool) -> Change {
        let world = self.truth.world();
        let guided = world.deployments.values().filter(|deployment| match deployment.status {
            Status::Candidate { .. } => deployment.rollout.is_some(),
            Status::Promoted { .. } | Status::RolledBack { .. } => false,
        });
        let guided: Vec<DeploymentId> = guided.map(|deployment| deployment.id).collect();
        let Some(id) = self.dice.pick(&guided).copied() else { return self.deploy(lift_hold) };
        match self.dice.below(5) {
            0 => Change::Freeze(id),
            1 => Change::Gate(id),
            2 => Change::Approve(id),
            _ => Change::Resume(id),
        }
    }

    /// A gate of a candidate of the critical agent ends: three of four pass, and some are about what was active once.
    fn judge(&mut self, lift_hold: bool) -> Change {
        let world = self.truth.world();
        let agent = &SETTING.agents[CRITICAL];
        let candidates = world.deployments.values().filter(|deployment| match deployment.status {
            Status::Candidate { .. } => deployment.releases.contains_key(agent),
            Status::Promoted { .. } | Status::RolledBack { .. } => false,
        });
        let ids: Vec<DeploymentId> = candidates.map(|deployment| deployment.id).collect();
        let Some(id) = self.dice.pick(&ids).copied() else { return self.deploy(lift_hold) };
        let deployment = &world.deployments[&id];
        let now = incumbent(world, agent, &deployment.segment);
        let candidate = deployment.releases[agent];
        let stale = self.dice.pick(&SETTING.releases).copied();
        let against = if self.dice.chance(10) { stale } else { now };
        let verdict = if self.dice.chance(75) { GateVerdict::Pass } else { GateVerdict::Fail };
        Change::Judge { id, judgement: Box::new(judgement(candidate, against, verdict)) }
    }

    fn deploy(&mut self, lift_hold: bool) -> Change {
        let count = if self.dice.chance(40) { 2 } else { 1 };
        let first = self.dice.below(SETTING.agents.len());
        let release = *self.dice.pick(&SETTING.releases).expect("there are releases");
        let agents = (first..first + count).map(|n| SETTING.agents[n % SETTING.agents.len()].clone());
        let segment = SETTING.segments[usize::from(self.dice.chance(20))].clone();
        let traffic = match self.dice.below(8) {
            0..=1 => Traffic::Now,
            2..=4 => Traffic::Canary(self.share()),
            _ => Traffic::Rollout(Box::new(SETTING.plan(first, &segment))),
        };
        Change::Deploy(Open {
            releases: agents.map(|agent| (agent, release)).collect(),
            segment,
            traffic,
            lift_hold,
        })
    }

    /// What goes back with a deployment: pointers only, or its state, or what was derived from it too.
    fn take_back(&mut self, id: DeploymentId) -> TakeBack {
        match self.dice.below(4) {
            0 => TakeBack { keep_state: true, ..TakeBack::default() },
            1 => TakeBack { derived: self.derived(id), ..TakeBack::default() },
            _ => TakeBack::default(),
        }
    }

    /// Records of others that were derived from the deployment's, however often removed.
    fn derived(&self, id: DeploymentId) -> Ranges {
        let mut taken: Vec<StateSeq> = Vec::new();
        for record in &self.truth.records {
            let is_own = |seq: &StateSeq| {
                self.truth.record(*seq).is_some_and(|parent| parent.operation.deployment == id)
            };
            let follows = |parent: &StateSeq| is_own(parent) || taken.contains(parent);
            if record.operation.deployment != id && record.parents.iter().any(follows) {
                taken.push(record.operation.seq);
            }
        }
        Ranges::of(taken)
    }

    fn run_work(&mut self) -> RunWork {
        if self.truth.approvals_approved().next().is_some() && self.dice.chance(35) {
            return self.authorize();
        }
        let any = self.runs.len();
        let recent = self.dice.chance(60);
        let from = if recent { any.saturating_sub(4) } else { 0 };
        let Some(stamp) = self.dice.pick(&self.runs[from..]).map(Arc::clone) else { return self.create() };
        let run = stamp.run;
        match self.dice.below(19) {
            15..=18 => self.authorize(),
            0..=4 => self.create(),
            5..=7 => RunWork::Call(self.new_run()),
            8 => RunWork::Join { run: stamp },
            9..=10 => {
                let next = self.truth.runs.get(&run).map_or(1, |run| run.events.len() as u64);
                RunWork::Note { run, expected: self.dice.chance(40).then_some(EventSeq(next)) }
            }
            11 => RunWork::Pause { run },
            12 => RunWork::Resume { run },
            13 => RunWork::Finish { run },
            _ => RunWork::Read { run },
        }
    }

    fn create(&mut self) -> RunWork {
        let mut new = self.new_run();
        if let Some(parent) = self.dice.pick(self.runs).filter(|_| self.dice.chance(25)) {
            new.parent = Some(parent.run);
            new.tenant = parent.tenant.clone();
        }
        RunWork::Create(new)
    }

    fn new_run(&mut self) -> NewRun {
        NewRun {
            agent: self.dice.pick(&SETTING.agents).expect("there are agents").clone(),
            tenant: SETTING.tenants[usize::from(self.dice.chance(25))].clone(),
            session: self.dice.chance(80).then(|| self.dice.pick(&SETTING.sessions).cloned()).flatten(),
            parent: None,
            queued: self.dice.chance(15),
        }
    }

    fn write(&mut self) -> Option<Write> {
        let stamp = Arc::clone(self.dice.pick(self.runs)?);
        if stamp.session.is_some() && self.dice.chance(50) {
            let turns = (0..=self.dice.below(3)).map(|_| self.dice.chance(40)).collect();
            return Some(Write::Remember { parent: self.parent(&stamp), turns, stamp });
        }
        let tenant = SETTING.tenants.iter().position(|tenant| *tenant == stamp.tenant)?;
        let space = SETTING.context(tenant, self.dice.below(2));
        let who = self.who(stamp);
        if self.dice.chance(15) {
            return Some(Write::Send { who, space });
        }
        let key = self.dice.pick(&SETTING.keys)?.clone();
        let expected = self.dice.chance(40).then(|| self.version(&space, &who, &key));
        let delete = self.dice.chance(20);
        let protocol = if self.dice.chance(20) { 2 } else { 1 };
        Some(Write::Set { who, space, key, delete, protocol, expected })
    }

    fn who(&mut self, stamp: Arc<Stamp>) -> Who {
        let jobs = self.truth.world().deployments.values().filter(|job| job.ingest.is_some());
        let jobs: Vec<DeploymentId> = jobs.map(|job| job.id).collect();
        match self.dice.below(10) {
            0 => Who::Operator,
            1 => Who::Told(stamp),
            2..=4 => self.dice.pick(&jobs).map_or(Who::Run(stamp), |job| Who::Job(*job)),
            _ => Who::Run(stamp),
        }
    }

    /// The version that the writer sees, or now and then another one.
    fn version(&mut self, space: &Space, who: &Who, key: &pinrail_domain::state::StateKey) -> StateSeq {
        if self.dice.chance(15) {
            return StateSeq(self.dice.below(self.truth.records.len() + 1) as u64);
        }
        let own = match who {
            Who::Run(stamp) => Some(stamp.deployment),
            Who::Job(job) => Some(*job),
            Who::Told(_) | Who::Operator => None,
        };
        let shown = self.truth.shown(space, own, self.truth.moment());
        let on_key =
            |seq: &StateSeq| self.truth.record(*seq).is_some_and(|record| record.operation.key == *key);
        shown.into_iter().find(on_key).unwrap_or_default()
    }

    /// A record that the run may have concluded from.
    fn parent(&mut self, stamp: &Stamp) -> Option<StateSeq> {
        let space = memory_of(stamp)?;
        let shown = self.truth.shown(&space, Some(stamp.deployment), self.truth.moment());
        self.dice.pick(&shown).copied().filter(|_| self.dice.chance(50))
    }

    fn look(&mut self) -> Look {
        let spaces: Vec<Space> = self.truth.spaces().into_iter().cloned().collect();
        let space = match self.dice.pick(&spaces) {
            Some(space) if self.dice.chance(90) => space.clone(),
            Some(_) | None => SETTING.context(self.dice.below(2), self.dice.below(2)),
        };
        let reader = self.reader();
        match (space.layer, self.dice.below(3)) {
            (_, 0) => Look::All { space, reader },
            (Layer::Context, _) => {
                let key = self.dice.pick(&SETTING.keys).expect("there are keys").clone();
                let accepts = self.dice.chance(30).then(|| 1 + self.dice.below(2) as u32);
                Look::Get { space, key, reader, accepts }
            }
            (Layer::Memory | Layer::Vectors, _) => Look::Recall { space, reader },
        }
    }

    fn reader(&mut self) -> Reader {
        let run = self.dice.pick(self.runs).filter(|_| self.dice.chance(50));
        let own = match run {
            Some(stamp) => Some(stamp.deployment),
            None => {
                let readers = self.truth.readers();
                readers[self.dice.below(readers.len())]
            }
        };
        let as_of = match self.dice.below(16) {
            0 => AsOf::State(StateSeq(1 + self.dice.below(self.truth.records.len() + 1) as u64)),
            1 => AsOf::Ledger(LedgerSeq(self.dice.below(self.truth.entries.len() + 2) as u64)),
            2 => {
                let times: Vec<Timestamp> = self.truth.records.iter().map(|record| record.at).collect();
                self.dice.pick(&times).map_or(AsOf::Now, |at| AsOf::Time(*at))
            }
            3..=5 => self.dice.pick(self.moments).map_or(AsOf::Now, |moment| AsOf::Moment(*moment)),
            _ => AsOf::Now,
        };
        Reader { own, run: run.map(|stamp| (stamp.run, stamp.agent.clone())), as_of }
    }

    /// A deployment like this if there is one, and now and then any number.
    fn deployment(&mut self, like: impl Fn(&DeploymentId) -> bool) -> DeploymentId {
        let world = self.truth.world();
        let alike: Vec<DeploymentId> = world.deployments.keys().copied().filter(like).collect();
        let any = DeploymentId(1 + self.dice.below(world.deployments.len() + 1) as u64);
        if self.dice.chance(8) { any } else { self.dice.pick(&alike).copied().unwrap_or(any) }
    }

    fn share(&mut self) -> Share {
        Share::from_bps(self.dice.below(5) as u64 * 2_500).expect("at most all")
    }
}
