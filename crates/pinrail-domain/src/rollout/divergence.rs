//! How far a candidate's answer is from the live one to the same request.
//!
//! ```text
//! text       = 2 · L / (n + m)             L: longest common subsequence of words, n and m: words of each
//! tools      = (2 · same + named) / (n + m)    n and m: calls of each
//! content    = (text + 3 · tools) / 4      where both are there, else the one that is; 1 where neither is
//! divergence = 1                           if one refuses and the other doesn't, else
//!              1 − content · 0.8           if the finish reasons differ, else
//!              1 − content
//! ```
//!
//! Words are those of UAX #29, punctuation included and blanks left out, after NFKC, lower case and plain quotes and
//! dashes; of each text the first [`WORDS_MAX`] count. `same` are pairs of calls with the same name and the same
//! arguments (as canonical JSON, or trimmed text where they are none), `named` pairs of the remaining ones with the
//! same name. A part that only one of the two answers has is 0, one that neither has is left out. A call weighs
//! three times what the words around it do, since it is what changes the world.
//!
//! Length, latency and cost stand beside the divergence and are no part of it: the text's length is in `text`, and
//! the other two have guardrails of their own. The same text at another price is the same answer.
//!
//! It is symmetric, 0 for equal answers, and depends on nothing but the two.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use similar::DiffableStr;
use unicode_normalization::UnicodeNormalization;

use crate::canonical;
use crate::id::RunId;
use crate::journal::Compared;

/// What an answer said, as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    /// Characters of the whole text.
    pub characters: u64,
    pub tool_calls: Vec<Called>,
    /// There was more text, or more calls, than is here.
    pub cut: bool,
    pub finish_reason: Option<String>,
    pub refusal: bool,
    pub last_byte_us: u64,
    pub cost_nano_usd: Option<u64>,
}

/// A call of a tool that an answer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Called {
    pub name: String,
    /// JSON text as the model wrote it, valid or not.
    pub arguments: String,
}

/// Words of a text that are compared. More than any answer that a person reads, and at most a million steps of work.
pub const WORDS_MAX: usize = 8_192;
const TOOLS_WEIGHT: f64 = 3.0;
const FINISH_SIMILARITY: f64 = 0.8;

/// Compares a candidate's answer with the live one, which answered `call` of run `live`.
#[must_use]
pub fn compare(live: RunId, call: u32, candidate: &Said, served: &Said) -> Compared {
    let (words, live_words) = (Words::of(&candidate.text), Words::of(&served.text));
    let text = text_similarity(&words, &live_words);
    let tools = tool_similarity(&candidate.tool_calls, &served.tool_calls);
    let finish = candidate.finish_reason != served.finish_reason;
    let refusal = candidate.refusal != served.refusal;
    let content = match (text, tools) {
        (Some(text), Some(tools)) => (text + TOOLS_WEIGHT * tools) / (1.0 + TOOLS_WEIGHT),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 1.0,
    };
    let similarity = match (refusal, finish) {
        (true, _) => 0.0,
        (false, true) => content * FINISH_SIMILARITY,
        (false, false) => content,
    };
    let cost = candidate.cost_nano_usd.zip(served.cost_nano_usd);
    Compared {
        live,
        call,
        divergence: 1.0 - similarity,
        text,
        tools,
        finish,
        refusal,
        cut: candidate.cut || served.cut || words.cut || live_words.cut,
        characters: [candidate.characters, served.characters],
        last_byte_us: [candidate.last_byte_us, served.last_byte_us],
        cost_nano_usd: cost.map(|(candidate, live)| [candidate, live]),
    }
}

/// A text's words, normalised.
struct Words {
    list: Vec<String>,
    cut: bool,
}

impl Words {
    fn of(text: &str) -> Words {
        let plain: String = text.nfkc().flat_map(char::to_lowercase).map(plain).collect();
        let mut words = plain.tokenize_unicode_words().into_iter().filter(|word| !word.trim().is_empty());
        let list: Vec<String> = words.by_ref().take(WORDS_MAX).map(str::to_owned).collect();
        Words { list, cut: words.next().is_some() }
    }
}

/// A quote or a dash as keyboards have it.
fn plain(character: char) -> char {
    match character {
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    }
}

/// 1 for the same words, 0 for none in common; none where neither has any.
fn text_similarity(a: &Words, b: &Words) -> Option<f64> {
    let words = a.list.len() + b.list.len();
    (words > 0).then(|| share(2 * common_words(&a.list, &b.list), words))
}

/// The length of the longest common subsequence, in `a · b / 64` steps.
///
/// Bit-parallel, after Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): bit `i` of the row is 0 where
/// the longest common subsequence of what was seen of `b` and the first words of `a` grows at word `i`.
fn common_words(a: &[String], b: &[String]) -> usize {
    let blocks = a.len().div_ceil(64);
    let mut places: HashMap<&str, Vec<u64>> = HashMap::new();
    for (place, word) in a.iter().enumerate() {
        places.entry(word).or_insert_with(|| vec![0; blocks])[place / 64] |= 1 << (place % 64);
    }
    let mut row = vec![u64::MAX; blocks];
    for word in b {
        let Some(matches) = places.get(word.as_str()) else { continue };
        let mut carry = false;
        for (bits, matches) in row.iter_mut().zip(matches) {
            let (sum, over) = bits.overflowing_add(*bits & matches);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            carry = over || over_again;
            *bits = sum | (*bits & !matches);
        }
    }
    // Bits beyond the last word never match, and so stay 1.
    row.iter().map(|bits| bits.count_zeros() as usize).sum()
}

/// 1 for the same calls in any order, 0 for none in common; none where neither calls anything.
fn tool_similarity(a: &[Called], b: &[Called]) -> Option<f64> {
    let calls = a.len() + b.len();
    let keyed = |list: &[Called]| -> Vec<(String, String)> {
        list.iter().map(|call| (call.name.clone(), canonical_arguments(&call.arguments))).collect()
    };
    let same = in_common(&keyed(a), &keyed(b));
    let names = |list: &[Called]| -> Vec<String> { list.iter().map(|call| call.name.clone()).collect() };
    // Every pair of the same calls is one of the same names; what is left of these differs in arguments.
    let named = in_common(&names(a), &names(b)) - same;
    (calls > 0).then(|| share(2 * same + named, calls))
}

fn in_common<T: Ord>(a: &[T], b: &[T]) -> usize {
    let mut counts: BTreeMap<&T, usize> = BTreeMap::new();
    a.iter().for_each(|item| *counts.entry(item).or_default() += 1);
    let mut common = 0;
    for item in b {
        if let Some(left) = counts.get_mut(item).filter(|left| **left > 0) {
            *left -= 1;
            common += 1;
        }
    }
    common
}

/// The arguments as canonical JSON; as they are written where they are none, or can't be canonical.
fn canonical_arguments(written: &str) -> String {
    let written = written.trim();
    let value: Option<Value> = serde_json::from_str(if written.is_empty() { "{}" } else { written }).ok();
    let canonical = value.and_then(|value| canonical::to_vec(&value).ok());
    canonical.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| written.to_owned())
}

#[allow(clippy::cast_precision_loss, reason = "both count words or calls of one answer")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests;
