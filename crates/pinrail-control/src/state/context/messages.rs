//! Messages of a space, in the order in which they were sent.

use pinrail_domain::id::{AgentName, StateSeq};
use pinrail_domain::state::{Moment, Record, Space};

use super::{Accepts, Message, is_message, message};
use crate::state::{ReadError, Reader, States};

/// Which messages. Both must hold.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// To this agent or to all; none is to anybody.
    pub to: Option<AgentName>,
    /// Of one of these kinds; none is of any.
    pub kinds: Vec<String>,
}

/// Some messages of a view.
#[derive(Clone, Debug)]
pub struct Messages {
    pub at: Moment,
    /// Without the message where it was erased.
    pub items: Vec<(Record, Option<Message>)>,
    /// What was looked at so far: go on after it.
    pub next: StateSeq,
    /// Whether there is more to look at.
    pub more: bool,
}

/// Messages looked at for one answer: a reader that wants few of many goes on from there.
const LOOKED_AT_MAX: usize = 4_096;
/// Messages read from the store at once.
const READ_AT_ONCE: usize = 256;

impl Wanted {
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        let Wanted { to, kinds } = self;
        to.as_ref().is_none_or(|to| message.to.as_ref().is_none_or(|named| named == to))
            && (kinds.is_empty() || kinds.contains(&message.kind))
    }
}

impl States {
    /// Up to `limit` messages of a view after `after`. Those in a protocol that the reader doesn't accept are among
    /// them, for the caller to hold back; the read is noted for the others.
    pub async fn message_list(
        &self,
        space: &Space,
        reader: &Reader,
        wanted: &Wanted,
        accepts: &Accepts,
        after: StateSeq,
        limit: usize,
    ) -> Result<Messages, ReadError> {
        let (at, seqs) = self
            .view(space, reader, |sight| {
                let index = sight.index;
                let (shown, start) = (sight.shown(), index.end(after));
                let later = shown.iter().skip_while(|place| *place < start);
                let messages = later.filter(|place| is_message(index.key(*place)));
                let seqs = messages.map(|place| index.seq(place)).take(LOOKED_AT_MAX + 1);
                (sight.view.at, seqs.collect::<Vec<_>>())
            })
            .await?;
        let mut found = Messages { at, items: Vec::new(), next: after, more: false };
        let mut looked_at = 0;
        'read: for chunk in seqs[..seqs.len().min(LOOKED_AT_MAX)].chunks(READ_AT_ONCE) {
            for record in self.records(chunk).await? {
                if found.items.len() == limit {
                    break 'read;
                }
                found.next = record.operation.seq;
                let message = message(&record);
                if message.as_ref().is_none_or(|message| wanted.matches(message)) {
                    found.items.push((record, message));
                }
            }
            looked_at += chunk.len();
        }
        found.more = looked_at < seqs.len() && seqs.last().is_some_and(|last| *last > found.next);
        let accepted = |message: &Option<Message>| {
            message.as_ref().is_some_and(|message| accepts.accept(message.protocol))
        };
        let handed = found.items.iter().filter(|(_, message)| accepted(message));
        let handed = handed.map(|(record, _)| record.operation.seq).collect();
        self.note_records(reader, space, at, handed).await;
        Ok(found)
    }
}
