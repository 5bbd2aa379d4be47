//! Operations in words, for the trace.

use pinrail_control::state::{AsOf, Reader};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::AgentName;
use pinrail_domain::journal::Stamp;

use super::{Change, Done, Look, NewRun, RunWork, Told, What, Who, Write};

impl What {
    /// What it does, in a line.
    pub(crate) fn summary(&self) -> String {
        match self {
            What::Change(change) => change.summary(),
            What::Run(work) => work.summary(),
            What::Write(write) => write.summary(),
            What::Read(look) => look.summary(),
            What::Conduct => "conduct rollouts".to_owned(),
        }
    }
}

impl Told {
    /// What a client was told, in a line.
    pub(crate) fn summary(&self) -> String {
        match self {
            Told::Done(done) => done.summary(),
            Told::Refused(why) => format!("refused: {why}"),
            Told::Unknown(why) => format!("unknown: {why}"),
        }
    }
}

impl Done {
    fn summary(&self) -> String {
        let again = |replayed: bool| if replayed { ", as told before" } else { "" };
        match self {
            Done::Flipped { seq, epoch, deployment, replayed } => {
                format!("deployment {deployment}, entry {seq}, epoch {epoch}{}", again(*replayed))
            }
            Done::Lifted { seq } => format!("lifted by entry {seq}"),
            Done::Begun { stamp, replayed } => format!("{}{}", stamped(stamp), again(*replayed)),
            Done::Called { stamp } | Done::Joined { stamp } => stamped(stamp),
            Done::Turned { turned } => {
                let pinrail_control::dial::Turned { epoch, changed, recorded } = turned;
                format!("epoch {epoch}, changed: {changed}, recorded: {recorded}")
            }
            Done::Ruled { ruling, approval } => format!("{} by {approval:?}", ruling.as_str()),
            Done::Noted | Done::Changed => "done".to_owned(),
            Done::Run { stamp, events } => format!("{} with {} events", stamped(stamp), events.len()),
            Done::Wrote { space, last } => format!("record {last} of {space}"),
            Done::Shown { at, seqs } => format!("{seqs:?} at {at:?}"),
            Done::Recalled { at, turns, .. } => {
                let seqs: Vec<u64> = turns.iter().map(|turn| turn.operation.seq.0).collect();
                format!("{seqs:?} at {at:?}")
            }
            Done::Got { at, record } => format!("record {} at {at:?}", record.operation.seq),
            Done::Nothing { at } => format!("nothing at {at:?}"),
            Done::Mismatch { at, version } => format!("record {version}, not accepted, at {at:?}"),
        }
    }
}

impl Change {
    fn summary(&self) -> String {
        match self {
            Change::Deploy(open) => {
                let agents: Vec<&str> = open.releases.keys().map(AgentName::as_str).collect();
                let traffic = match &open.traffic {
                    Traffic::Rollout(_) => "as a rollout".to_owned(),
                    traffic @ (Traffic::Canary(_) | Traffic::Now) => format!("{traffic:?}"),
                };
                format!("deploy {} in {} {traffic}", agents.join("+"), open.segment)
            }
            Change::OpenIngest(job) => format!("open job {job}"),
            Change::Promote { id, lift_hold } => {
                format!("promote {id}{}", if *lift_hold { ", lifting" } else { "" })
            }
            Change::RollBack { id, take } => format!("roll back {id} {take:?}"),
            Change::SetWeight { id, weight } => format!("set weight of {id} to {weight}"),
            Change::Freeze(id) => format!("freeze {id}"),
            Change::Resume(id) => format!("resume {id}"),
            Change::Approve(id) => format!("approve {id}"),
            Change::Gate(id) => format!("a gate passes {id}"),
            Change::Judge { id, judgement } => {
                format!("a gate of {id} ends {}", judgement.verdict.as_str())
            }
            Change::Turn(turn) => {
                let release = turn.release.map(|release| release.short());
                format!("turn {} to {} {release:?}", turn.place, turn.position)
            }
            Change::Decide { id, approved } => format!("decide {id}: {approved}"),
            Change::LiftHold { agent, segment } => format!("lift hold of {agent}/{segment}"),
        }
    }
}

impl RunWork {
    fn summary(&self) -> String {
        match self {
            RunWork::Create(new) => format!("create {}", new.summary()),
            RunWork::Call(new) => format!("call {}", new.summary()),
            RunWork::Join { run } => format!("join {}", run.run),
            RunWork::Note { run, expected } => format!("note in {run} at {expected:?}"),
            RunWork::Pause { run } => format!("pause {run}"),
            RunWork::Resume { run } => format!("resume {run}"),
            RunWork::Finish { run } => format!("finish {run}"),
            RunWork::Read { run } => format!("read {run}"),
            RunWork::Authorize { run, wish } => format!("ask for {wish:?} in {}", run.run),
        }
    }
}

impl Write {
    fn summary(&self) -> String {
        match self {
            Write::Remember { stamp, turns, parent } => {
                format!("remember {turns:?} of deployment {} from {parent:?}", stamp.deployment)
            }
            Write::Set { who, space, key, delete, protocol, expected } => {
                let verb = if *delete { "delete" } else { "set" };
                format!("{verb} {space} {key} v{protocol} over {expected:?} as {}", who.summary())
            }
            Write::Send { who, space } => format!("send to {space} as {}", who.summary()),
        }
    }
}

impl Look {
    fn summary(&self) -> String {
        match self {
            Look::All { space, reader } => format!("look at {space} {}", summary_of(reader)),
            Look::Recall { space, reader } => format!("recall {space} {}", summary_of(reader)),
            Look::Get { space, key, reader, accepts } => {
                format!("get {space} {key} accepting {accepts:?} {}", summary_of(reader))
            }
        }
    }
}

impl NewRun {
    fn summary(&self) -> String {
        let NewRun { agent, tenant, session, parent, queued } = self;
        format!(
            "{agent} of {tenant} session {session:?} under {parent:?}{}",
            if *queued { " queued" } else { "" }
        )
    }
}

impl Who {
    fn summary(&self) -> String {
        match self {
            Who::Run(stamp) => format!("a run of {}", stamp.deployment),
            Who::Told(_) => "a run that was told".to_owned(),
            Who::Job(job) => format!("job {job}"),
            Who::Operator => "operator".to_owned(),
        }
    }
}

fn summary_of(reader: &Reader) -> String {
    let own = reader.own.map_or("everybody".to_owned(), |own| format!("deployment {own}"));
    match reader.as_of {
        AsOf::Now => format!("for {own}"),
        as_of @ (AsOf::State(_) | AsOf::Ledger(_) | AsOf::Time(_) | AsOf::Moment(_)) => {
            format!("for {own} as of {as_of:?}")
        }
    }
}

fn stamped(stamp: &Stamp) -> String {
    let Stamp { run, deployment, epoch, via, .. } = stamp;
    format!("{run} on deployment {deployment} of epoch {epoch} via {via:?}")
}
