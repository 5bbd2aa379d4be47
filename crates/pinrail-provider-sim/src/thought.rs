//! What a model thinks before it answers, and the seals that show it wasn't changed on its way there and back.
//!
//! A seal holds a hash of the thought and a code over it that only this simulator's seed makes. It stands for a thought
//! also where its text wasn't sent.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::request::Request;

/// Most words of the question that a thought repeats.
const WORDS_MAX: usize = 12;

/// Thinks about a request.
pub fn think(request: &Request) -> String {
    let words: Vec<&str> = request.user_text().split_whitespace().take(WORDS_MAX).collect();
    let tools = match request.tools.len() {
        0 => "I have no tools.".to_owned(),
        1 => "There is one tool.".to_owned(),
        many => format!("There are {many} tools."),
    };
    format!("The user says \"{}\". {tools} I know what to answer.", words.join(" "))
}

/// Seals a thought.
pub fn seal(seed: u64, thought: &str) -> String {
    let hash = hash(thought);
    format!("{hash:016x}{:016x}", code(seed, hash))
}

/// Says whether a seal is this simulator's, and fits the thought where its text is given.
pub fn holds(seed: u64, seal: &str, thought: Option<&str>) -> bool {
    let Some((hash_part, code_part)) = seal.split_at_checked(16) else { return false };
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let Some(sealed) = number(hash_part) else { return false };
    number(code_part) == Some(code(seed, sealed))
        && seal.len() == 32
        && thought.is_none_or(|thought| hash(thought) == sealed)
}

fn hash(thought: &str) -> u64 {
    xxh3_64_with_seed(thought.as_bytes(), 0)
}

fn code(seed: u64, hash: u64) -> u64 {
    xxh3_64_with_seed(&hash.to_le_bytes(), !seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_thought_or_seal_or_another_seed_is_noticed() {
        let sealed = seal(7, "I think");
        assert!(holds(7, &sealed, Some("I think")) && holds(7, &sealed, None));
        assert!(!holds(7, &sealed, Some("I thought")));
        assert!(!holds(8, &sealed, Some("I think")));
        for changed in
            [format!("{sealed}0"), sealed.replacen(&sealed[..1], "x", 1), String::new(), "é".repeat(16)]
        {
            assert!(!holds(7, &changed, None), "{changed}");
        }
    }
}
