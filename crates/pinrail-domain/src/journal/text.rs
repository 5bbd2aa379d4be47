//! Looking for a text in what a run's journal says.
//!
//! Looked at are the texts that people read, one by one and as people read them: prompts, answers, names, arguments and
//! results of tools, why something failed or stopped, notes, comments, the stamp's session and attributes. A text is found
//! in one of them, never across two. What stands in JSON is taken out of it first, also where that JSON is itself a string
//! in other JSON, so no escape is ever seen: `"`, `ü` and the word behind a line break are what they look like.
//!
//! Not looked at: the structure of bodies (member names, roles, types), the definitions of tools that are sent along with a
//! request, images and other data in base64, and whatever the journal holds as a digest alone.
//!
//! Two texts are the same when they are after this: Unicode's composed form (NFC), its lower case character by character,
//! `ς` as `σ`, and any white space as one blank. So `É` finds `é`, and `STRASSE` doesn't find `Straße`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Event, Stamp};

mod json;
mod read;

/// A text to look for.
#[derive(Clone, PartialEq, Eq)]
pub struct Needle {
    asked: String,
    folded: String,
}

/// Why nothing can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNeedle {
    #[error("the text to look for is empty")]
    Empty,
    #[error("the text to look for has more than {NEEDLE_BYTES_MAX} bytes")]
    TooLong,
}

/// Bytes of a text to look for: a long sentence. It stands in addresses, which have their own limits.
pub const NEEDLE_BYTES_MAX: usize = 500;

impl Needle {
    /// Whether the run's stamp says it, in its session or its attributes (`name=value`).
    #[must_use]
    pub fn is_in_stamp(&self, stamp: &Stamp) -> bool {
        let mut haystack = String::new();
        read::stamp(stamp, &mut |text| self.is_in(text, &mut haystack))
    }

    /// Whether the event says it.
    #[must_use]
    pub fn is_in_event(&self, event: &Event) -> bool {
        let mut haystack = String::new();
        read::event(event, &mut |text| self.is_in(text, &mut haystack))
    }

    /// Whether this one text says it.
    #[must_use]
    pub fn is_in_text(&self, text: &str) -> bool {
        self.is_in(text, &mut String::new())
    }

    /// `haystack` is room to work in, kept from text to text.
    fn is_in(&self, text: &str, haystack: &mut String) -> bool {
        haystack.clear();
        fold(text, haystack);
        haystack.contains(&self.folded)
    }
}

impl FromStr for Needle {
    type Err = BadNeedle;

    fn from_str(asked: &str) -> Result<Needle, BadNeedle> {
        let trimmed = asked.trim();
        if trimmed.is_empty() {
            return Err(BadNeedle::Empty);
        }
        if trimmed.len() > NEEDLE_BYTES_MAX {
            return Err(BadNeedle::TooLong);
        }
        let mut folded = String::new();
        fold(trimmed, &mut folded);
        Ok(Needle { asked: trimmed.to_owned(), folded })
    }
}

impl fmt::Display for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.asked)
    }
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Needle({:?})", self.asked)
    }
}

/// Appends the text in the form in which texts are compared.
fn fold(text: &str, folded: &mut String) {
    if text.is_ascii() {
        return fold_ascii(text, folded);
    }
    let composed = match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect::<String>()),
    };
    let mut blank = false;
    for c in composed.chars() {
        if c.is_whitespace() {
            if !blank {
                folded.push(' ');
            }
        } else if c == 'ς' {
            folded.push('σ');
        } else {
            folded.extend(c.to_lowercase());
        }
        blank = c.is_whitespace();
    }
}

/// As [`fold`]: most texts are this, and bytes are faster than characters.
fn fold_ascii(text: &str, folded: &mut String) {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_blank) {
        let (word, more) = rest.split_at(at);
        push_lower(word, folded);
        folded.push(' ');
        rest = more.trim_start_matches(|c: char| c.is_ascii() && is_blank(c as u8));
    }
    push_lower(rest, folded);
}

fn push_lower(word: &str, folded: &mut String) {
    let start = folded.len();
    folded.push_str(word);
    folded[start..].make_ascii_lowercase();
}

#[cfg(test)]
mod tests;
