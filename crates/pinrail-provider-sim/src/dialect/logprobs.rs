//! The probabilities of tokens, in the form that both of OpenAI's dialects have.

use serde_json::{Value, json};

use super::Told;
use crate::tokens;

/// Tells the probability of each token of a text. Only the first of an answer can have had alternatives; all others are
/// sure.
pub fn of(told: &Told, text: &str, is_start: bool) -> Vec<Value> {
    let one = |token: &str, chance: f64| json!({ "token": token, "logprob": chance.max(f64::MIN_POSITIVE).ln(), "bytes": token.as_bytes() });
    let sure = |token: &str| vec![(token.to_owned(), 1.0)];
    let each = |(at, piece): (usize, &str)| {
        let known = told.next.as_ref().filter(|next| is_start && at == 0 && next.said.starts_with(piece));
        let all = known.map_or_else(|| sure(piece), |next| next.chances.clone());
        let own = all.iter().find(|(token, _)| token == piece).map_or(1.0, |(_, chance)| *chance);
        let mut said = one(piece, own);
        said["top_logprobs"] = all.iter().take(told.top).map(|(token, chance)| one(token, *chance)).collect();
        said
    };
    tokens::pieces(text).into_iter().enumerate().map(each).collect()
}
