//! State: remembered, set, sent, read.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_control::Control;
use pinrail_control::state::context::{Accepts, GetRefused, Message, Set, SetRefused, Stored};
use pinrail_control::state::memory::Turn;
use pinrail_control::state::{Authorised, NoWriter, ReadError, WriteAs, WriteError, Wrote};
use pinrail_domain::id::StateSeq;
use pinrail_domain::journal::Stamp;
use pinrail_domain::state::Space;
use serde_json::value::RawValue;

use super::{Done, Look, Op, Told, Who, Write, chain};

/// More than any space here holds.
const TURNS_MAX: usize = 10_000;

impl Op {
    pub(super) async fn write(&self, control: &Control, write: &Write) -> Told {
        let states = control.states();
        match write {
            Write::Remember { stamp, turns, parent } => self.remember(control, stamp, turns, *parent).await,
            Write::Set { who, space, key, delete, protocol, expected } => {
                let by = match author(control, who).await {
                    Ok(by) => by,
                    Err(refused) => return self.not_allowed(&refused),
                };
                let value = (!delete).then(|| self.stored(*protocol));
                let set = Set { key: key.clone(), value, expected: *expected, parents: Vec::new() };
                let idempotency = self.idempotency();
                wrote(space, states.context_set(&by, space, set, idempotency.as_ref()).await)
            }
            Write::Send { who, space } => {
                let by = match author(control, who).await {
                    Ok(by) => by,
                    Err(refused) => return self.not_allowed(&refused),
                };
                let idempotency = self.idempotency();
                let message = self.message();
                wrote(
                    space,
                    states.message_send(&by, space, &message, Vec::new(), idempotency.as_ref()).await,
                )
            }
        }
    }

    async fn remember(
        &self,
        control: &Control,
        stamp: &Arc<Stamp>,
        turns: &[bool],
        parent: Option<StateSeq>,
    ) -> Told {
        let space = memory_of(stamp).expect("only runs with a session remember");
        let turn = |(n, told): (usize, &bool)| Turn {
            key: None,
            json: self.turn_json(n),
            told: *told,
            parents: parent.into_iter().collect(),
        };
        let turns = turns.iter().enumerate().map(turn).collect();
        match control.states().remember(stamp, &space, turns, self.idempotency().as_ref()).await {
            Ok(remembered) => {
                let last = remembered.turns.iter().map(|(_, seq)| *seq).max();
                Told::Done(Done::Wrote { space, last: last.expect("there is a turn") })
            }
            Err(error) => write_failed(&error),
        }
    }

    /// An author is asked for before the idempotency key is looked at: the request may have been carried out while its
    /// job was open.
    fn not_allowed(&self, refused: &NoWriter) -> Told {
        let why = refused.to_string();
        if self.keyed { Told::Unknown(why) } else { Told::Refused(why) }
    }

    pub(super) fn turn_json(&self, n: usize) -> String {
        format!("\"turn-{}-{n}\"", self.number)
    }

    pub(super) fn value_json(&self, protocol: u32) -> String {
        serde_json::to_string(&self.stored(protocol)).expect("plain data")
    }

    pub(super) fn message_json(&self) -> String {
        serde_json::to_string(&self.message()).expect("plain data")
    }

    fn stored(&self, protocol: u32) -> Stored {
        Stored { protocol, value: self.number_json() }
    }

    fn message(&self) -> Message {
        Message { protocol: 1, kind: "hint".to_owned(), from: None, to: None, body: self.number_json() }
    }

    fn number_json(&self) -> Box<RawValue> {
        RawValue::from_string(self.number.to_string()).expect("a number is JSON")
    }
}

impl Look {
    pub(super) async fn read(&self, control: &Control) -> Told {
        let states = control.states();
        match self {
            Look::All { space, reader } => {
                let shown = states.view(space, reader, |sight| {
                    let seqs = sight.shown().iter().map(|place| sight.index.seq(place)).collect();
                    Done::Shown { at: sight.view.at, seqs }
                });
                shown.await.map_or_else(|error| read_failed(&error), Told::Done)
            }
            Look::Recall { space, reader } => match states.recall(space, reader, None, TURNS_MAX).await {
                Ok(recalled) => {
                    let (at, turns, count) = (recalled.at, recalled.turns, recalled.count);
                    Told::Done(Done::Recalled { at, turns, count })
                }
                Err(error) => read_failed(&error),
            },
            Look::Get { space, key, reader, accepts } => {
                let accepts = accepts.map_or(Accepts::All, |one| Accepts::These(BTreeSet::from([one])));
                match states.context_get(space, key, reader, &accepts).await {
                    Ok(got) => Told::Done(Done::Got { at: got.at, record: Box::new(got.record) }),
                    Err(GetRefused::Nothing { at }) => Told::Done(Done::Nothing { at }),
                    Err(GetRefused::Protocol { at, version, .. }) => {
                        Told::Done(Done::Mismatch { at, version })
                    }
                    Err(GetRefused::Read(error)) => read_failed(&error),
                    Err(error @ GetRefused::Erased { .. }) => Told::Refused(error.to_string()),
                }
            }
        }
    }
}

/// The memory of a run's session.
pub(crate) fn memory_of(stamp: &Stamp) -> Option<Space> {
    Some(Space::memory(stamp.tenant.clone(), &stamp.agent, stamp.session.as_ref()?))
}

async fn author(control: &Control, who: &Who) -> Result<Authorised, NoWriter> {
    let who = match who {
        Who::Run(stamp) => WriteAs::Run(stamp),
        Who::Told(stamp) => WriteAs::Told(stamp),
        Who::Job(job) => WriteAs::Job(*job),
        Who::Operator => WriteAs::Operator,
    };
    control.states().author(who).await
}

fn wrote(space: &Space, outcome: Result<Wrote, WriteError<SetRefused>>) -> Told {
    match outcome {
        Ok(wrote) => {
            let appended = wrote.appended.expect("there was something to write");
            Told::Done(Done::Wrote { space: space.clone(), last: appended.last })
        }
        Err(error) => write_failed(&error),
    }
}

fn write_failed<E: std::error::Error + 'static>(error: &WriteError<E>) -> Told {
    match error {
        WriteError::Refused(_) | WriteError::Writer(_) | WriteError::KeyReused => Told::Refused(chain(error)),
        WriteError::Contended | WriteError::Store(_) => Told::Unknown(chain(error)),
    }
}

fn read_failed(error: &ReadError) -> Told {
    match error {
        ReadError::Moment(_) => Told::Refused(error.to_string()),
        ReadError::Store(_) => Told::Unknown(chain(error)),
    }
}
