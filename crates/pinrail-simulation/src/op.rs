//! What clients do: each operation goes through the real control plane and says what it was told.

use std::sync::Arc;

use pinrail_control::dial::Turned;
use pinrail_control::state::Reader;
use pinrail_control::{By, CommitError, Control, Idempotency};
use pinrail_domain::deploy::{Open, TakeBack};
use pinrail_domain::dial::{Ruling, Turn};
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::Judgement;
use pinrail_domain::id::{
    AgentName, ApprovalId, DeploymentId, Epoch, EventSeq, IngestName, LedgerSeq, RunId, SegmentName,
    SessionId, StateSeq, TenantId,
};
use pinrail_domain::journal::{Recorded, Stamp};
use pinrail_domain::ledger::Actor;
use pinrail_domain::share::Share;
use pinrail_domain::state::{Moment, Record, Space, StateKey};
use pinrail_store::AnswerKey;

use crate::setting::name;

mod deployments;
mod dial;
mod runs;
pub(crate) mod state;
mod summary;

/// Something that a client does.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// Its number; what it writes carries it as a tag.
    pub number: u64,
    /// Sent with an idempotency key: then it is sent again until it is answered.
    pub keyed: bool,
    pub what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Change(Change),
    Run(RunWork),
    Write(Write),
    Read(Look),
    /// The rollout controller looks.
    Conduct,
}

/// Changes the world.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Deploy(Open),
    OpenIngest(IngestName),
    Promote {
        id: DeploymentId,
        lift_hold: bool,
    },
    RollBack {
        id: DeploymentId,
        take: TakeBack,
    },
    SetWeight {
        id: DeploymentId,
        weight: Share,
    },
    LiftHold {
        agent: AgentName,
        segment: SegmentName,
    },
    Freeze(DeploymentId),
    Resume(DeploymentId),
    Approve(DeploymentId),
    Gate(DeploymentId),
    /// A gate of the deployment's critical agent ends.
    Judge {
        id: DeploymentId,
        judgement: Box<Judgement>,
    },
    /// A person turns the dial.
    Turn(Turn),
    /// A person decides about a tool call.
    Decide {
        id: ApprovalId,
        approved: bool,
    },
}

/// Works with runs.
#[derive(Clone, Debug)]
pub(crate) enum RunWork {
    Create(NewRun),
    /// A gateway call that is a run of its own.
    Call(NewRun),
    Join {
        run: Arc<Stamp>,
    },
    Note {
        run: RunId,
        expected: Option<EventSeq>,
    },
    Pause {
        run: RunId,
    },
    Resume {
        run: RunId,
    },
    Finish {
        run: RunId,
    },
    Read {
        run: RunId,
    },
    /// A tool is about to be called.
    Authorize {
        run: Arc<Stamp>,
        wish: ToolWish,
    },
}

/// A tool call.
#[derive(Clone, Debug)]
pub(crate) struct ToolWish {
    pub tool: Tool,
    pub arguments: usize,
    /// The caller's own id of it.
    pub id: Option<String>,
    /// It stands in an answer, and the gateway asks.
    pub by_gateway: bool,
}

/// The tools that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    Looks,
    Acts,
}

/// Writes state.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Remembers turns: `true` was told, `false` was concluded.
    Remember {
        stamp: Arc<Stamp>,
        turns: Vec<bool>,
        parent: Option<StateSeq>,
    },
    Set {
        who: Who,
        space: Space,
        key: StateKey,
        delete: bool,
        protocol: u32,
        expected: Option<StateSeq>,
    },
    Send {
        who: Who,
        space: Space,
    },
}

/// Reads state.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    All { space: Space, reader: Reader },
    Recall { space: Space, reader: Reader },
    Get { space: Space, key: StateKey, reader: Reader, accepts: Option<u32> },
}

/// In whose name something is written.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Run(Arc<Stamp>),
    Told(Arc<Stamp>),
    Job(DeploymentId),
    Operator,
}

#[derive(Clone, Debug)]
pub(crate) struct NewRun {
    pub agent: AgentName,
    pub tenant: TenantId,
    pub session: Option<SessionId>,
    pub parent: Option<RunId>,
    pub queued: bool,
}

/// What a client was told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are only as many as operations under way")]
pub(crate) enum Told {
    Done(Done),
    /// Nothing happened.
    Refused(String),
    /// Nobody knows what happened.
    Unknown(String),
}

#[derive(Debug)]
pub(crate) enum Done {
    Flipped {
        seq: LedgerSeq,
        epoch: Epoch,
        deployment: DeploymentId,
        replayed: bool,
    },
    /// An entry that moves no pointer: a hold is lifted, a gate is judged.
    Lifted {
        seq: LedgerSeq,
    },
    Begun {
        stamp: Stamp,
        replayed: bool,
    },
    /// The gateway's call began, and its end was recorded.
    Called {
        stamp: Stamp,
    },
    Joined {
        stamp: Stamp,
    },
    /// The dial was turned.
    Turned {
        turned: Turned,
    },
    /// Something was decided about a tool call.
    Ruled {
        ruling: Ruling,
        approval: Option<ApprovalId>,
    },
    Noted,
    Changed,
    Run {
        stamp: Stamp,
        events: Vec<Recorded>,
    },
    Wrote {
        space: Space,
        last: StateSeq,
    },
    Shown {
        at: Moment,
        seqs: Vec<StateSeq>,
    },
    Recalled {
        at: Moment,
        turns: Vec<Record>,
        count: usize,
    },
    Got {
        at: Moment,
        record: Box<Record>,
    },
    Nothing {
        at: Moment,
    },
    Mismatch {
        at: Moment,
        version: StateSeq,
    },
}

impl Op {
    /// Does it.
    pub(crate) async fn carry_out(self, control: Control) -> Told {
        match &self.what {
            What::Change(change) => self.change(&control, change).await,
            What::Run(work) => self.run(&control, work).await,
            What::Write(write) => self.write(&control, write).await,
            What::Read(look) => look.read(&control).await,
            What::Conduct => {
                control.conduct_once().await;
                Told::Done(Done::Changed)
            }
        }
    }

    /// What all that it writes carries.
    pub(crate) fn tag(&self) -> String {
        format!("op-{}", self.number)
    }

    /// The tags of its effects: each happens at most once.
    pub(crate) fn tags(&self) -> Vec<String> {
        match &self.what {
            What::Change(_) | What::Run(RunWork::Create(_) | RunWork::Note { .. }) => vec![self.tag()],
            What::Run(RunWork::Call(_)) => vec![self.tag(), self.call_tag()],
            What::Write(Write::Remember { turns, .. }) => {
                (0..turns.len()).map(|n| self.turn_json(n)).collect()
            }
            What::Write(Write::Set { delete: true, .. }) => Vec::new(),
            What::Write(Write::Set { protocol, .. }) => vec![self.value_json(*protocol)],
            What::Write(Write::Send { .. }) => vec![self.message_json()],
            What::Run(
                RunWork::Join { .. }
                | RunWork::Pause { .. }
                | RunWork::Resume { .. }
                | RunWork::Finish { .. }
                | RunWork::Read { .. }
                | RunWork::Authorize { .. },
            )
            | What::Read(_)
            | What::Conduct => Vec::new(),
        }
    }

    /// How often each may happen. A turn that waited too long for the ledger is noted, and recorded again where its entry
    /// came through all the same and somebody who had not heard of it turned the dial up after that entry: of two turns
    /// at once the one down stays.
    pub(crate) fn times_max(&self) -> u32 {
        if matches!(self.what, What::Change(Change::Turn(_))) { 2 } else { 1 }
    }

    pub(crate) fn call_tag(&self) -> String {
        format!("call-{}", self.number)
    }

    fn by(&self) -> By {
        By { actor: Actor::Open, reason: self.tag(), idempotency: self.idempotency(), term: None }
    }

    fn idempotency(&self) -> Option<Idempotency> {
        let tag = self.tag();
        self.keyed.then(|| Idempotency {
            key: AnswerKey { caller: "open".to_owned(), key: name(&tag) },
            request: Digest::of(tag.as_bytes()),
        })
    }
}

impl Tool {
    pub(crate) const ALL: [Tool; 2] = [Tool::Looks, Tool::Acts];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Looks => "look_up",
            Tool::Acts => "issue_refund",
        }
    }

    pub(crate) fn has_side_effects(self) -> bool {
        match self {
            Tool::Looks => false,
            Tool::Acts => true,
        }
    }
}

/// What a commit told its client.
fn committed<T, E: std::error::Error>(
    outcome: Result<pinrail_control::Committed<T>, CommitError<E>>,
    done: impl FnOnce(T, bool) -> Done,
) -> Told {
    match outcome {
        Ok(committed) => Told::Done(done(committed.value, committed.replayed)),
        Err(error @ CommitError::Refused(_)) => Told::Refused(error.to_string()),
        Err(error) => Told::Unknown(chain(&error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
