//! Questions that may be border prompts: every one short, harmless, and answered with a single common word.
//!
//! Words of one group are alike in length and frequency, so that neither is an unlikely token, and each is asked in both
//! orders: models prefer the first or the last of two. The order of the pool differs by model, or all models would be
//! watched by the same few prompts.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const GROUPS: [&[&str]; 10] = [
    &["red", "blue", "green", "black", "white", "brown", "pink", "gray"],
    &["dog", "cat", "horse", "bird", "fish", "bear", "lion", "wolf", "fox"],
    &["apple", "orange", "lemon", "banana", "grape", "cherry", "peach"],
    &["north", "south", "east", "west"],
    &["spring", "summer", "autumn", "winter"],
    &["tea", "coffee", "milk", "water", "juice", "wine"],
    &["river", "lake", "ocean", "forest", "desert", "island", "valley", "mountain"],
    &["piano", "guitar", "violin", "drum", "flute"],
    &["circle", "square", "triangle", "star", "cube"],
    &["car", "train", "bike", "boat", "plane", "bus"],
];
const LETTERS: &[&str] = &["A", "B", "C", "D", "E", "F", "G", "H", "K", "M", "P", "R", "S", "T", "W"];
const DIGITS: &[&str] = &["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// All questions, in the order in which this model is asked them.
#[must_use]
pub fn pool(model: &str) -> Vec<String> {
    let mut prompts = Vec::new();
    for group in GROUPS {
        pairs(group, |a, b| {
            prompts.push(format!("Pick one word: {a} or {b}? Say only that word."));
            prompts.push(format!("One word only, {a} or {b}?"));
            prompts.push(format!("Which comes to mind first: {a} or {b}? One word."));
        });
    }
    pairs(LETTERS, |a, b| prompts.push(format!("One letter only: {a} or {b}?")));
    pairs(DIGITS, |a, b| prompts.push(format!("One digit only: {a} or {b}?")));
    let seed = xxh3_64_with_seed(model.as_bytes(), 0);
    prompts.sort_by_cached_key(|prompt| xxh3_64_with_seed(prompt.as_bytes(), seed));
    prompts
}

fn pairs(words: &[&str], mut each: impl FnMut(&str, &str)) {
    for a in words {
        for b in words {
            if a != b {
                each(a, b);
            }
        }
    }
}
