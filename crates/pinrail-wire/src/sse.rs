//! Splits a stream of server-sent events that arrives in arbitrary chunks into its events.
//!
//! Conditions: a block ends at a blank line; lines end in LF, CR LF or CR. Where the blank line's CR is the
//! last byte that has come, the block ends only with the next byte, since an LF there belongs to it. So the
//! same bytes give the same blocks wherever they are split. The raw bytes of all blocks, put together, are
//! the stream itself; a block with no data (comments, keep-alives) comes out as an event with `data: None`.
//! A leading byte order mark belongs to the first block and is no part of its first line.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// One block of the stream, borrowed from the chunk when it lay wholly inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The value of the last `event:` line.
    pub name: Option<&'a [u8]>,
    /// The value of the last `id:` line.
    pub id: Option<&'a [u8]>,
    /// The values of the `data:` lines, joined by line feeds; borrowed when there is one.
    pub data: Option<Cow<'a, [u8]>>,
    /// The block as it stood, its blank line included.
    pub raw: &'a [u8],
    /// Where `raw` lies in the whole stream, in bytes from its start.
    pub range: Range<u64>,
}

/// Says that one event is longer than allowed; the splitter gives nothing more after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one event of the stream is longer than {event_bytes_max} bytes")]
pub struct EventTooLong {
    pub event_bytes_max: usize,
}

/// Takes chunks and gives events; holds only what of the current event came in earlier chunks.
#[derive(Debug)]
pub struct Splitter {
    event_bytes_max: usize,
    held: Vec<u8>,
    /// Stream offset of the first byte of the current block.
    start: u64,
    line: Line,
    too_long: bool,
}

/// What is known of the line that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Empty,
    Begun,
    /// It ended in a CR, and an LF may follow.
    Cr {
        blank: bool,
    },
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// Makes a splitter that refuses events of more than `event_bytes_max` bytes.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Splitter {
        Splitter { event_bytes_max, held: Vec::new(), start: 0, line: Line::Empty, too_long: false }
    }

    /// Says how many bytes of the stream were fed so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    /// Says whether the bytes so far end inside a block.
    #[must_use]
    pub fn mid_event(&self) -> bool {
        // A block that waits only for the LF of its blank line has reached its end.
        !self.held.is_empty() && self.line != (Line::Cr { blank: true })
    }

    /// Feeds the next chunk and calls `each` for every event that is now complete.
    ///
    /// # Errors
    /// [`EventTooLong`], now and at every later call; the events before it were given.
    pub fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        let mut rest = chunk;
        while !rest.is_empty() && !self.too_long {
            let end = self.line.block_end(rest);
            let part = end.unwrap_or(rest.len());
            if self.held.len() + part > self.event_bytes_max {
                self.too_long = true;
                break;
            }
            let (now, later) = rest.split_at(part);
            rest = later;
            if end.is_none() {
                self.held.extend_from_slice(now);
            } else if self.held.is_empty() {
                each(parse(now, self.start));
                self.start += now.len() as u64;
            } else {
                self.held.extend_from_slice(now);
                each(parse(&self.held, self.start));
                self.start += self.held.len() as u64;
                self.held.clear();
            }
        }
        if self.too_long {
            return Err(EventTooLong { event_bytes_max: self.event_bytes_max });
        }
        Ok(())
    }

    /// Gives what is left when the stream is over: a block that its blank line never followed.
    ///
    /// The standard drops it; some providers end their last event so, and the caller may judge by its data.
    #[must_use]
    pub fn rest(&self) -> Option<Event<'_>> {
        (!self.held.is_empty()).then(|| parse(&self.held, self.start))
    }
}

impl Line {
    /// Finds how many of `bytes` belong to the current block, when it ends among them.
    ///
    /// The answer may be 0: the block had ended with the CR before `bytes`.
    fn block_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if let Line::Cr { blank } = *self {
                let next = *bytes.get(at)?;
                at += usize::from(next == b'\n');
                *self = Line::Empty;
                if blank {
                    return Some(at);
                }
            }
            let Some(found) = memchr2(b'\n', b'\r', &bytes[at..]) else {
                if at < bytes.len() {
                    *self = Line::Begun;
                }
                return None;
            };
            let blank = *self == Line::Empty && found == 0;
            at += found + 1;
            if bytes[at - 1] == b'\r' {
                *self = Line::Cr { blank };
                continue;
            }
            *self = Line::Empty;
            if blank {
                return Some(at);
            }
        }
    }
}

/// Reads the lines of one block.
fn parse(raw: &[u8], start: u64) -> Event<'_> {
    let mut event = Event { name: None, id: None, data: None, raw, range: start..start + raw.len() as u64 };
    let mut rest = if start == 0 { raw.strip_prefix(BOM).unwrap_or(raw) } else { raw };
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        // The LF of a CR LF reads as one more empty line, and empty lines say nothing here.
        rest = tail.get(1..).unwrap_or_default();
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut event.data {
                None => event.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"event" => event.name = Some(value),
            b"id" if !value.contains(&0) => event.id = Some(value),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests;
