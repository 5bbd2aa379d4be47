//! Scrubs secrets out of texts that may be logged, stored or returned.
//!
//! Conditions: known secrets go wherever they stand, also as they look inside JSON or a URL; besides, whatever
//! has the shape of a key goes. Overlapping finds are scrubbed as one. When in doubt a word too many goes: the
//! text serves people, and a leaked key can't be taken back. Secrets shorter than four bytes are not looked for,
//! since they would stand in every text.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use memchr::memmem::{self, Finder};

/// Knows the secrets of this process and what keys look like.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Vec<Finder<'static>>,
}

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shortest secret that is looked for, in bytes.
const SECRET_BYTES_MIN: usize = 4;

/// A shape of keys: how they begin, and how many characters of a key follow at least.
struct Shape {
    prefix: &'static [u8],
    chars_min: usize,
}

/// Prefixes of OpenAI and Anthropic, Google, Groq, xAI, Hugging Face, Perplexity, NVIDIA, Replicate, AWS, and of
/// Google's access tokens.
const SHAPES: [Shape; 10] = [
    Shape { prefix: b"sk-", chars_min: 8 },
    Shape { prefix: b"AIza", chars_min: 16 },
    Shape { prefix: b"gsk_", chars_min: 16 },
    Shape { prefix: b"xai-", chars_min: 16 },
    Shape { prefix: b"hf_", chars_min: 16 },
    Shape { prefix: b"pplx-", chars_min: 16 },
    Shape { prefix: b"nvapi-", chars_min: 16 },
    Shape { prefix: b"r8_", chars_min: 16 },
    Shape { prefix: b"AKIA", chars_min: 12 },
    Shape { prefix: b"ya29.", chars_min: 16 },
];

/// Words, in small letters, behind which a credential stands.
const LABELS: [&[u8]; 6] = [b"bearer", b"basic", b"api-key", b"api_key", b"apikey", b"access_token"];

/// Shortest word taken for a credential behind a label.
const LABELLED_CHARS_MIN: usize = 6;

impl Redactor {
    /// Makes a redactor for these secrets.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Redactor {
        let mut spellings: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.len() >= SECRET_BYTES_MIN {
                spellings.extend([secret.to_owned(), in_json(secret), in_url(secret)]);
            }
        }
        spellings.sort_unstable();
        spellings.dedup();
        let finder = |text: String| Finder::new(text.as_bytes()).into_owned();
        Redactor { known: spellings.into_iter().map(finder).collect() }
    }

    /// Gives the text with every secret replaced by [`REDACTED`]; borrowed when there was none.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        for finder in &self.known {
            find_known(finder, bytes, &mut found);
        }
        for shape in &SHAPES {
            find_shape(shape, bytes, &mut found);
        }
        find_labelled(bytes, &mut found);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|range| range.start);
        Cow::Owned(replace(text, &found))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Redactor").field("known", &self.known.len()).finish()
    }
}

/// Finds every occurrence, overlapping ones too: they are one find, so that no rest of a secret stays.
fn find_known(finder: &Finder<'_>, text: &[u8], found: &mut Vec<Range<usize>>) {
    let bytes = finder.needle().len();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
        let start = from + at;
        match found.last_mut() {
            Some(last) if last.start <= start && start < last.end => last.end = last.end.max(start + bytes),
            Some(_) | None => found.push(start..start + bytes),
        }
        from = start + 1;
    }
}

fn find_shape(shape: &Shape, text: &[u8], found: &mut Vec<Range<usize>>) {
    for start in memmem::find_iter(text, shape.prefix) {
        let end = start + shape.prefix.len() + run(&text[start + shape.prefix.len()..], is_key_char);
        let begins_word = start == 0 || !text[start - 1].is_ascii_alphanumeric();
        if begins_word && end - start >= shape.prefix.len() + shape.chars_min {
            found.push(start..end);
        }
    }
}

/// Finds `Bearer x`, `x-api-key: x`, `"api_key":"x"` and the like.
fn find_labelled(text: &[u8], found: &mut Vec<Range<usize>>) {
    for label in LABELS {
        let (small, big) = (label[0], label[0].to_ascii_uppercase());
        for start in memchr::memchr2_iter(small, big, text) {
            let Some(word) = text.get(start..start + label.len()) else { break };
            if !word.eq_ignore_ascii_case(label) {
                continue;
            }
            let rest = start + label.len();
            let gap =
                run(&text[rest..], |byte| matches!(byte, b' ' | b'\t' | b':' | b'=' | b'"' | b'\'' | b'\\'));
            let chars = run(&text[rest + gap..], is_token_char);
            if gap > 0 && chars >= LABELLED_CHARS_MIN {
                found.push(rest + gap..rest + gap + chars);
            }
        }
    }
}

fn replace(text: &str, found: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        if range.start > done || done == 0 {
            out.push_str(&text[done..range.start.max(done)]);
            out.push_str(REDACTED);
        }
        done = done.max(range.end);
    }
    out.push_str(&text[done..]);
    out
}

fn run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| is(**byte)).count()
}

/// Characters of keys, and the asterisks that providers put into keys they quote.
fn is_key_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*')
}

fn is_token_char(byte: u8) -> bool {
    is_key_char(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// Spells a text as it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Spells a text as it stands in a URL.
fn in_url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string is written to memory");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes_of_keys_go_and_words_stay() {
        let check = |text: &str, want: &str| assert_eq!(Redactor::default().redact(text), want);
        check("Incorrect API key provided: sk-abcd1234wxyz.", "Incorrect API key provided: [redacted].");
        check("key sk-ant-api03-abc_DEF-123456 end", "key [redacted] end");
        check("sk-proj-****************wxyz", "[redacted]");
        check("?key=AIzaSyA1234567890abcdefghijklmnopqrstu&x=1", "?key=[redacted]&x=1");
        check("authorization: Bearer abc.def-ghi", "authorization: Bearer [redacted]");
        check("AUTHORIZATION: BEARER abcdefgh", "AUTHORIZATION: BEARER [redacted]");
        check(r#"{"Authorization":"Basic dXNlcjpwYXNz"}"#, r#"{"Authorization":"Basic [redacted]"}"#);
        check(r#"{"x-api-key": "0123456789abcdef"}"#, r#"{"x-api-key": "[redacted]"}"#);
        check("api_key=0123456789&b=1", "api_key=[redacted]&b=1");
        check(r#"a \"api_key\": \"0123456789\""#, r#"a \"api_key\": \"[redacted]\""#);
        check("two sk-aaaaaaaa1 sk-bbbbbbbb2", "two [redacted] [redacted]");
        check("task-force and risk-assessment, sk-SK", "task-force and risk-assessment, sk-SK");
        check("the bearer of news", "the bearer of news");
        check("gpt-4o-2024-08-06 answered", "gpt-4o-2024-08-06 answered");
        check("", "");
    }

    #[test]
    fn known_secrets_go_in_every_spelling() {
        let check = |secret: &str, text: &str, want: &str| {
            assert_eq!(Redactor::new([secret]).redact(text), want, "{secret} in {text}");
        };
        check("hunter22", "pass hunter22, hunter22", "pass [redacted], [redacted]");
        check("a\"b\\c/d", r#"{"k":"a\"b\\c/d"}"#, r#"{"k":"[redacted]"}"#);
        check("p/w=1 2", "?k=p%2Fw%3D1%202&z", "?k=[redacted]&z");
        check("abab", "xabababX", "x[redacted]X");
        check("sk-12345678", "Bearer sk-12345678zz", "Bearer [redacted]");
        check("geheim-ß", "x geheim-ß y", "x [redacted] y");
        check("abc", "abc is too short to look for", "abc is too short to look for");
    }

    #[test]
    fn clean_text_is_not_copied_and_debug_shows_nothing() {
        let redactor = Redactor::new(["hunter22"]);
        assert!(matches!(redactor.redact("nothing here"), Cow::Borrowed(_)));
        assert!(!format!("{redactor:?}").contains("hunter"));
    }

    proptest! {
        // I15
        #[test]
        fn no_secret_is_left(
            secrets in prop::collection::vec("[0-3\"/é]{4,8}", 1..4),
            text in "[0-3\"/é ]{0,40}",
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut chars: Vec<char> = text.chars().collect();
            for (at, secret) in at.iter().zip(secrets.iter().cycle()) {
                let at = at.index(chars.len() + 1);
                chars.splice(at..at, secret.chars());
            }
            let text: String = chars.into_iter().collect();
            let redactor = Redactor::new(&secrets);
            let clean = redactor.redact(&text);
            for secret in &secrets {
                prop_assert!(!clean.contains(secret), "{} in {}", secret, clean);
            }
            prop_assert_eq!(redactor.redact(&clean), clean.as_ref());
        }
    }
}
