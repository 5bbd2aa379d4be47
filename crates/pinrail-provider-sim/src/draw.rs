//! All chance in the simulator: draws that are hashes, so that the same request meets the same luck.
//!
//! What an *answer* depends on: the seed, the id of the serving checkpoint, the conversation (roles, texts, tool calls
//! and results, and the offered tools as canonical JSON), and, only when `temperature` is above 0 or the checkpoint
//! says `sampling = true`, how often this checkpoint was sent this very conversation before.
//!
//! What its *fate* on the wire depends on (errors, hangs, cuts, garbage, latency): the same, but always with the count
//! of repeats, so that a retry draws anew. The k-th sending of a conversation always meets the same fate.
//!
//! Neither depends on other conversations, on time, or on whether the answer is streamed. A missing `temperature`
//! counts as 0 here (OpenAI's default is 1), so that repeatable is what one gets without asking.

use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::script::Rate;

/// Deterministic luck for one answer; each question that it is asked has its own independent answer.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    key: u64,
}

impl Draw {
    /// Makes the luck of one answer or of one fate. `repeat` is how often the conversation was sent before, if it counts.
    pub fn new(seed: u64, checkpoint: &str, conversation: u64, repeat: Option<u64>) -> Self {
        let mut hash = Xxh3::with_seed(seed);
        feed(&mut hash, checkpoint.as_bytes());
        hash.update(&conversation.to_le_bytes());
        match repeat {
            None => hash.update(&[0]),
            Some(count) => {
                hash.update(&[1]);
                hash.update(&count.to_le_bytes());
            }
        }
        Self { key: hash.digest() }
    }

    /// Draws a number in `[0, 1)` for the named question.
    pub fn unit(&self, question: &str) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.bits(question) >> 11) as f64 / STEPS
    }

    /// Says whether something of this rate happens.
    pub fn happens(&self, question: &str, rate: Rate) -> bool {
        self.unit(question) < rate.get()
    }

    /// Draws an index below `count`, which must not be zero.
    pub fn below(&self, question: &str, count: usize) -> usize {
        assert!(count > 0, "nothing to draw from");
        ((self.unit(question) * count as f64) as usize).min(count - 1)
    }

    /// Draws 32 hexadecimal digits for an identifier.
    pub fn hex(&self, question: &str) -> String {
        let (high, low) = (self.bits(question), xxh3_64_with_seed(question.as_bytes(), !self.key));
        format!("{high:016x}{low:016x}")
    }

    fn bits(&self, question: &str) -> u64 {
        xxh3_64_with_seed(question.as_bytes(), self.key)
    }
}

/// Feeds bytes with their length in front, so that neighbouring fields can't run into each other.
pub fn feed(hash: &mut Xxh3, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// Feeds a JSON value so that the order of an object's keys doesn't matter.
pub fn feed_json(hash: &mut Xxh3, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            hash.update(b"{");
            hash.update(&(keys.len() as u64).to_le_bytes());
            for key in keys {
                feed(hash, key.as_bytes());
                feed_json(hash, &map[key]);
            }
        }
        Value::Array(items) => {
            hash.update(b"[");
            hash.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| feed_json(hash, item));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            feed(hash, value.to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_ingredient_changes_the_luck_and_nothing_else_does() {
        let base = Draw::new(1, "a", 7, None);
        let same = |other: Draw| base.unit("x") == other.unit("x");
        assert!(same(Draw::new(1, "a", 7, None)));
        assert!(!same(Draw::new(2, "a", 7, None)));
        assert!(!same(Draw::new(1, "b", 7, None)));
        assert!(!same(Draw::new(1, "a", 8, None)));
        assert!(!same(Draw::new(1, "a", 7, Some(0))));
        assert!(base.unit("x") != base.unit("y"));
    }

    #[test]
    fn a_rate_is_kept_in_the_long_run() {
        let rate = Rate::new(0.2).unwrap();
        let check = |what: &str, draw: &dyn Fn(u64) -> Draw| {
            let hits = (0..10_000).filter(|case| draw(*case).happens("error", rate)).count();
            assert!((1_850..2_150).contains(&hits), "{hits} of 10000 by {what} at a rate of 0.2");
        };
        check("conversation", &|case| Draw::new(3, "a", case, None));
        check("seed", &|case| Draw::new(case, "a", 3, None));
        check("repeat", &|case| Draw::new(3, "a", 3, Some(case)));
    }

    #[test]
    fn key_order_does_not_count_and_shape_does() {
        let digest = |value: Value| {
            let mut hash = Xxh3::new();
            feed_json(&mut hash, &value);
            hash.digest()
        };
        assert_eq!(digest(json!({"a": 1, "b": [2]})), digest(json!({"b": [2], "a": 1})));
        assert_ne!(digest(json!([["a"], "b"])), digest(json!([["a", "b"]])));
        assert_ne!(digest(json!("1")), digest(json!(1)));
    }
}
