//! Shared context: what agents tell each other, as versioned keys and as messages.
//!
//! Each value carries the protocol version of the release that wrote it, and each reader names the versions it
//! accepts. A value that a reader doesn't accept is never handed over: the refusal says which version it has, the
//! newest earlier value that the reader would accept, and how to ask for a resync.
//!
//! A key is written unconditionally or only over the version that the writer saw (compare-and-set). A version is the
//! record's place in the sequence; what "the current one" is depends on the writer's view, as always.

use std::collections::BTreeSet;

use pinrail_domain::id::{AgentName, StateSeq};
use pinrail_domain::state::index::Index;
use pinrail_domain::state::{Content, Moment, Op, PARENTS_MAX, Record, Space, StateKey, VALUE_BYTES_MAX};
use pinrail_store::state::Seen;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Authorised, BadParents, Change, Decided, NewValue, ReadError, Reader, Sight, States, WriteError, Wrote,
};
use crate::commit::Idempotency;

mod keys;
mod messages;

pub use keys::Listed;
pub use messages::{Messages, Wanted};

/// A value as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub protocol: u32,
    pub value: Box<RawValue>,
}

/// A message as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    pub protocol: u32,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AgentName>,
    /// None is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AgentName>,
    pub body: Box<RawValue>,
}

/// The protocol versions that a reader accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// A person or a program that looks at any.
    All,
    These(BTreeSet<u32>),
}

/// A put or a delete.
#[derive(Clone, Debug)]
pub struct Set {
    pub key: StateKey,
    /// None deletes.
    pub value: Option<Stored>,
    /// Write only over this version; 0 is "no value". None writes over anything.
    pub expected: Option<StateSeq>,
    pub parents: Vec<StateSeq>,
}

/// Why a key isn't written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetRefused {
    #[error("keys that begin with `{MESSAGES}` are messages")]
    Reserved,
    /// Somebody whose writes count for this writer was first.
    #[error("the key's version is {}, not {}", current.unwrap_or_default(), expected)]
    Moved { expected: StateSeq, current: Option<StateSeq> },
    #[error("there is no value to delete")]
    Nothing,
    #[error("the value has {bytes} bytes; at most {VALUE_BYTES_MAX} are kept")]
    TooLong { bytes: usize },
    #[error(transparent)]
    Parents(#[from] BadParents),
}

/// A value that its reader accepts.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Moment,
    pub record: Record,
    pub stored: Stored,
}

/// Why a value isn't handed over.
#[derive(Debug, thiserror::Error)]
pub enum GetRefused {
    #[error("there is no such value in this view")]
    Nothing { at: Moment },
    #[error("the value is in protocol {protocol}, which the reader doesn't accept")]
    Protocol {
        at: Moment,
        version: StateSeq,
        protocol: u32,
        /// The newest earlier version that the reader would accept.
        last_accepted: Option<StateSeq>,
    },
    #[error("the value was erased")]
    Erased { version: StateSeq },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The protocol of Pinrail's own messages, such as a request to resync: everybody accepts it.
pub const OWN_PROTOCOL: u32 = 0;
/// What keys of messages begin with; no other key may.
pub const MESSAGES: &str = "~msg/";
/// Earlier versions looked at for one that a reader accepts: a writer that changed its protocol changed it lately.
const EARLIER_MAX: usize = 1_000;

impl States {
    /// Writes a key, or deletes it.
    pub async fn context_set(
        &self,
        by: &Authorised,
        space: &Space,
        set: Set,
        idempotency: Option<&Idempotency>,
    ) -> Result<Wrote, WriteError<SetRefused>> {
        let Set { key, value, expected, parents } = set;
        if key.as_str().starts_with(MESSAGES) {
            return Err(WriteError::Refused(SetRefused::Reserved));
        }
        self.check_parents(&space.tenant, parents.iter().copied()).await?;
        let own = Some(by.author.deployment);
        check(value.as_ref().map_or(0, |stored| stored.value.get().len()), &parents)?;
        let value = value.map(|stored| NewValue { json: to_json(&stored), vector: None });
        let decide = |index: &Index| {
            let current = index.get(own, &key);
            match expected {
                Some(expected) if expected != current.unwrap_or_default() => {
                    return Err(SetRefused::Moved { expected, current });
                }
                Some(_) | None => {}
            }
            if value.is_none() && current.is_none() {
                return Err(SetRefused::Nothing);
            }
            let change = Change { key: key.clone(), value: value.clone(), parents: parents.clone() };
            let expect = expected.map(|_| (key.clone(), index.newest_of(&key)));
            Ok(Decided { changes: vec![change], expect })
        };
        self.write(by, space, idempotency, decide).await
    }

    /// The value of a key in a reader's view, if the reader accepts its protocol.
    pub async fn context_get(
        &self,
        space: &Space,
        key: &StateKey,
        reader: &Reader,
        accepts: &Accepts,
    ) -> Result<Got, GetRefused> {
        let looked = self.look_at_key(space, reader, key, |sight| versions(sight, key)).await?;
        let (at, versions) = match looked {
            Some(looked) => looked,
            None => self.view(space, reader, |sight| versions(sight, key)).await?,
        };
        let newest = *versions.first().ok_or(GetRefused::Nothing { at })?;
        for (n, version) in versions.iter().enumerate() {
            let record = self.records(&[*version]).await.map_err(ReadError::from)?.into_iter().next();
            let Some(record) = record else { continue };
            let Some(stored) = stored(&record) else {
                if n == 0 {
                    return Err(GetRefused::Erased { version: newest });
                }
                continue;
            };
            let accepted = accepts.accept(stored.protocol);
            if n == 0 && accepted {
                self.note(reader, space, at, Seen::Records(vec![newest])).await;
                return Ok(Got { at, record, stored });
            }
            if accepted {
                return Err(self.mismatch(at, newest, Some(*version)).await?);
            }
        }
        Err(self.mismatch(at, newest, None).await?)
    }

    /// Sends a message to the space.
    pub async fn message_send(
        &self,
        by: &Authorised,
        space: &Space,
        message: &Message,
        parents: Vec<StateSeq>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Wrote, WriteError<SetRefused>> {
        check(message.body.get().len(), &parents)?;
        self.check_parents(&space.tenant, parents.iter().copied()).await?;
        let key = self.new_key(MESSAGES, 0, idempotency);
        let json = to_json(message);
        let decide = |_: &Index| {
            let value = NewValue { json: json.clone(), vector: None };
            let change = Change { key: key.clone(), value: Some(value), parents: parents.clone() };
            Ok(Decided { changes: vec![change], expect: None })
        };
        self.write(by, space, idempotency, decide).await
    }

    async fn mismatch(
        &self,
        at: Moment,
        version: StateSeq,
        last_accepted: Option<StateSeq>,
    ) -> Result<GetRefused, ReadError> {
        let record = self.records(&[version]).await?;
        let protocol = record.first().and_then(stored).map_or(0, |stored| stored.protocol);
        Ok(GetRefused::Protocol { at, version, protocol, last_accepted })
    }
}

impl Accepts {
    /// What a run's release says that it can read; everything where it says nothing.
    #[must_use]
    pub fn of(manifest: &pinrail_domain::release::Manifest) -> Accepts {
        manifest
            .state
            .context
            .as_ref()
            .map_or(Accepts::All, |context| Accepts::These(context.accepts.clone()))
    }

    #[must_use]
    pub fn accept(&self, protocol: u32) -> bool {
        match self {
            Accepts::All => true,
            Accepts::These(these) => protocol == OWN_PROTOCOL || these.contains(&protocol),
        }
    }
}

/// The protocol that a run writes: its release's, or 1 where that says nothing.
#[must_use]
pub fn protocol_of(manifest: &pinrail_domain::release::Manifest) -> u32 {
    manifest.state.context.as_ref().map_or(1, |context| context.protocol)
}

/// The visible version of a key, then the ones that it superseded for this reader, newest first; and as of when.
fn versions(sight: &Sight<'_>, key: &StateKey) -> (Moment, Vec<StateSeq>) {
    let Sight { index, view, .. } = sight;
    let history = index.history_of(view, key);
    let counted = history.into_iter().rev().filter(|(place, _)| view.counts(&index.operation(*place)));
    let puts = counted.take_while(|(place, _)| index.op(*place) == Op::Put);
    (view.at, puts.take(EARLIER_MAX).map(|(place, _)| index.seq(place)).collect())
}

fn check(bytes: usize, parents: &[StateSeq]) -> Result<(), WriteError<SetRefused>> {
    if bytes > VALUE_BYTES_MAX {
        return Err(WriteError::Refused(SetRefused::TooLong { bytes }));
    }
    if parents.len() > PARENTS_MAX {
        return Err(WriteError::Refused(BadParents::TooMany(parents.len()).into()));
    }
    Ok(())
}

/// The value of a record that is one; none where it was erased, or deletes.
#[must_use]
pub fn stored(record: &Record) -> Option<Stored> {
    match &record.content {
        Content::Value(value) => serde_json::from_str(&value.json).ok(),
        Content::Nothing | Content::Erased => None,
    }
}

/// The message of a record that is one; none where it was erased.
#[must_use]
pub fn message(record: &Record) -> Option<Message> {
    match &record.content {
        Content::Value(value) => serde_json::from_str(&value.json).ok(),
        Content::Nothing | Content::Erased => None,
    }
}

/// Whether the key is a message's.
#[must_use]
pub fn is_message(key: &StateKey) -> bool {
    key.as_str().starts_with(MESSAGES)
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a value is plain data")
}
