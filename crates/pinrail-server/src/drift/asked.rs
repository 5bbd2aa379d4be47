//! One question and its answer, as the provider's format has them.

use pinrail_domain::drift::border::{Mode, Tally};
use pinrail_domain::provider::ProviderSpec;
use serde_json::{Value, json};

use super::{AskFailed, Questions};

/// Alternatives asked for: two make a tie, the others tell how sure that is.
const TOP: u32 = 5;
/// What the field that limits an answer's tokens is called.
pub const LIMIT_FIELDS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// How a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    pub mode: Mode,
    pub limit_field: String,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub input_tokens: u64,
    pub output_tokens: u32,
}

/// Asks once and counts the answer.
pub async fn ask(
    questions: &dyn Questions,
    provider: &ProviderSpec,
    snapshot: &str,
    prompt: &str,
    manner: &Manner,
    tally: &mut Tally,
) -> Result<Cost, AskFailed> {
    let mut body = json!({
        "model": snapshot,
        "messages": [{ "role": "user", "content": prompt }],
        "temperature": 1,
    });
    body[&manner.limit_field] = 1.into();
    if manner.mode == Mode::Logprobs {
        body["logprobs"] = true.into();
        body["top_logprobs"] = TOP.into();
    }
    let answer = questions.ask(provider, &body).await?;
    read(&answer, manner.mode, tally).ok_or_else(|| {
        let what = match manner.mode {
            Mode::Sampled => "an answer without a text",
            Mode::Logprobs => "an answer without log probabilities",
        };
        AskFailed::Refused(format!("it gave {what}"))
    })
}

fn read(answer: &Value, mode: Mode, tally: &mut Tally) -> Option<Cost> {
    let choice = answer.pointer("/choices/0")?;
    match mode {
        Mode::Sampled => {
            let message = &choice["message"];
            let text = message["content"].as_str().or_else(|| message["refusal"].as_str())?;
            tally.answered(text);
        }
        Mode::Logprobs => {
            let first = choice.pointer("/logprobs/content/0/top_logprobs")?.as_array()?;
            let token =
                |top: &Value| Some((top["token"].as_str()?.to_owned(), top["logprob"].as_f64()?.exp()));
            let tokens: Vec<(String, f64)> = first.iter().filter_map(token).collect();
            if tokens.is_empty() {
                return None;
            }
            tally.told(&tokens);
        }
    }
    let usage = |key: &str| answer["usage"][key].as_u64();
    Some(Cost {
        input_tokens: usage("prompt_tokens").unwrap_or(0),
        output_tokens: usage("completion_tokens").and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(1),
    })
}

/// The manner in which a refused question may be asked instead; none when there is no other.
pub fn otherwise(manner: &Manner, why: &str) -> Option<Manner> {
    if why.contains(LIMIT_FIELDS[1]) && manner.limit_field == LIMIT_FIELDS[0] {
        return Some(Manner { limit_field: LIMIT_FIELDS[1].to_owned(), ..manner.clone() });
    }
    match manner.mode {
        Mode::Logprobs => Some(Manner { mode: Mode::Sampled, ..manner.clone() }),
        Mode::Sampled => None,
    }
}
