//! An event that is held, or written with other data.

use super::mentions;
use crate::sse::Event;

/// An event that outlives its chunk.
pub(super) struct Owned {
    pub raw: Vec<u8>,
    pub name: Option<Vec<u8>>,
    pub data: Option<Vec<u8>>,
}

impl Owned {
    pub fn of(event: &Event<'_>) -> Owned {
        Owned {
            raw: event.raw.to_vec(),
            name: event.name.map(<[u8]>::to_vec),
            data: event.data.as_ref().map(|data| data.to_vec()),
        }
    }

    pub fn bytes(&self) -> usize {
        self.raw.len() + self.data.as_ref().map_or(0, Vec::len)
    }

    /// Writes the event with other data; as it was where there is none.
    pub fn write_with(&self, out: &mut Vec<u8>, other: impl FnOnce(&str) -> Option<String>) {
        let data = self.data.as_deref().and_then(|data| std::str::from_utf8(data).ok());
        let Some(data) = data.and_then(other) else { return out.extend_from_slice(&self.raw) };
        if let Some(name) = &self.name {
            out.extend_from_slice(&[b"event: ", &name[..], b"\n"].concat());
        }
        // Data of several lines stays so.
        out.extend_from_slice(format!("data: {}\n\n", data.replace('\n', "\ndata: ")).as_bytes());
    }
}

/// Whether an event's data may begin a block, which alone is of interest while nothing is held or left out.
pub(super) fn may_begin_a_block(data: &[u8]) -> bool {
    mentions(data, b"\"content_block\"")
}

/// Whether it is how OpenAI ends a stream, which some that speak this format do too.
pub(super) fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}
