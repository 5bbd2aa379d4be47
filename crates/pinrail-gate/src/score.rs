//! How good an answer is: a case's assertions, weighed and put together.
//!
//! A suite that promptfoo runs gives the same result here: `docs/assertions.md` says what each kind does, and the few
//! places where it is otherwise. A turn's assertions see that turn's answer, the case's own see the last answer, the
//! calls of tools, the time and the cost of the whole conversation.
//!
//! Two things are kept apart. An answer that isn't as it should be *fails*. What can't be judged (a suite that asks for
//! nonsense, a script that doesn't compile or uses too much, a judge that can't be reached) is [`CannotScore`], and counts
//! neither way. Where the answer itself may be why, it fails: else a candidate could talk itself out of being counted.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::AskFailed;
use crate::row::Score;
use crate::suite::{AssertKind, Assertion, Case};
use judged::Judged;
use seen::Seen;
use sum::{Sum, Summed};

mod calls;
mod facts;
mod graded;
mod javascript;
mod json;
mod judged;
mod python;
mod refusal;
mod script;
mod seen;
mod similar;
mod sum;
#[cfg(test)]
mod tests;
mod text;

/// What assertions need that isn't in the answer.
#[async_trait]
pub trait Aides: Send + Sync {
    /// Has the judge answer a prompt: its text, and what that cost.
    async fn judge(&self, prompt: &str) -> Result<(String, u64), CannotScore>;

    /// Embeds texts, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, CannotScore>;

    /// The Python that may be run, where the server's settings allow it.
    fn python(&self) -> Option<&str>;
}

/// Why an answer couldn't be judged: it counts neither way.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CannotScore {
    #[error("{0}")]
    Ask(#[from] AskFailed),
    /// A script failed, ran too long, or used too much memory; or something isn't allowed or not configured.
    #[error("{0}")]
    Script(String),
}

/// Judges the answers to a case's turns. `tools` are the tools pinned in the release that answered; those of the case's
/// own request go before them.
pub async fn score(
    case: &Case,
    answers: &[Answer],
    tools: &[Value],
    aides: &dyn Aides,
) -> Result<Score, CannotScore> {
    let mut sum = Sum::default();
    for (nth, turn) in case.turns.iter().enumerate() {
        if !turn.asserts.is_empty() {
            let seen = Seen::of(case, answers, (nth, nth), tools).await?;
            judge_all(&turn.asserts, &seen, u32::try_from(nth + 1).ok(), aides, &mut sum).await?;
        }
    }
    if !case.asserts.is_empty() {
        let last = case.turns.len().saturating_sub(1);
        let seen = Seen::of(case, answers, (0, last), tools).await?;
        judge_all(&case.asserts, &seen, None, aides, &mut sum).await?;
    }
    Ok(sum.end(case.threshold).score())
}

/// Judges assertions one after the other: a judge model is asked for one thing at a time.
async fn judge_all(
    asserts: &[Assertion],
    seen: &Seen<'_>,
    turn: Option<u32>,
    aides: &dyn Aides,
    sum: &mut Sum,
) -> Result<(), CannotScore> {
    for assertion in asserts {
        let went = if assertion.kind == AssertKind::AssertSet {
            judge_set(assertion, seen, turn, aides).await
        } else {
            judge(assertion, seen, aides).await.map(Summed::one)
        };
        sum.add(assertion, turn, went)?;
    }
    Ok(())
}

/// `assert-set`: a sum of its own, which counts as one assertion. Boxed, since a set may hold sets.
fn judge_set<'a>(
    assertion: &'a Assertion,
    seen: &'a Seen<'a>,
    turn: Option<u32>,
    aides: &'a dyn Aides,
) -> Pin<Box<dyn Future<Output = Result<Summed, CannotScore>> + Send + 'a>> {
    Box::pin(async move {
        let seen = seen.through(assertion).await?;
        let mut sum = Sum::default();
        judge_all(&assertion.asserts, &seen, turn, aides, &mut sum).await?;
        let mut summed = sum.end(assertion.threshold);
        if assertion.not {
            let (pass, score) = (!summed.judged.pass, 1.0 - summed.judged.score);
            let why = if pass { String::new() } else { "the set should not pass".to_owned() };
            summed.judged = Judged { pass, score, why, ..summed.judged };
        }
        Ok(summed)
    })
}

/// Judges one assertion that is no set.
async fn judge(assertion: &Assertion, seen: &Seen<'_>, aides: &dyn Aides) -> Result<Judged, CannotScore> {
    let transformed;
    let (seen, text, value) = if looks_at_text(assertion.kind) {
        transformed = seen.through(assertion).await?;
        match transformed.output.judged() {
            Ok((text, value)) => (&transformed, text, value),
            Err(why) => return Ok(Judged::failed(why)),
        }
    } else {
        (seen, "", &Value::Null)
    };
    match assertion.kind {
        AssertKind::Equals => text::equals(assertion, text),
        AssertKind::Contains => text::contains(assertion, text, false),
        AssertKind::Icontains => text::contains(assertion, text, true),
        AssertKind::ContainsAny => text::contains_list(assertion, text, false, false),
        AssertKind::ContainsAll => text::contains_list(assertion, text, true, false),
        AssertKind::IcontainsAny => text::contains_list(assertion, text, false, true),
        AssertKind::IcontainsAll => text::contains_list(assertion, text, true, true),
        AssertKind::StartsWith => text::starts_with(assertion, text),
        AssertKind::Regex => script::regex(assertion, text).await,
        AssertKind::IsJson => json::is_json(assertion, text),
        AssertKind::ContainsJson => json::contains_json(assertion, text),
        AssertKind::Levenshtein => text::levenshtein(assertion, text),
        AssertKind::Latency => facts::latency(assertion, seen),
        AssertKind::Cost => facts::cost(assertion, seen),
        AssertKind::FinishReason => facts::finish_reason(assertion, seen),
        AssertKind::IsRefusal => Ok(refusal::is_refusal(assertion, seen, text)),
        AssertKind::IsValidOpenaiToolsCall => calls::are_valid(assertion, seen),
        AssertKind::ToolCallF1 => calls::f1(assertion, seen),
        AssertKind::ToolCalls => calls::expected::judge(assertion, seen).await,
        AssertKind::WordCount => text::word_count(assertion, text),
        AssertKind::Javascript => script::javascript(assertion, seen, value).await,
        AssertKind::Python => python::python(assertion, seen, value, aides).await,
        AssertKind::LlmRubric => graded::rubric(assertion, text, aides).await,
        AssertKind::Factuality => graded::factuality(assertion, seen, text, aides).await,
        AssertKind::Similar => similar::similar(assertion, text, aides).await,
        AssertKind::AssertSet => unreachable!("a set is judged by what it holds"),
    }
}

/// Whether a kind judges the output, and not what else is known of the answer: then it can do without what a transform
/// makes of it.
fn looks_at_text(kind: AssertKind) -> bool {
    !matches!(
        kind,
        AssertKind::Latency
            | AssertKind::Cost
            | AssertKind::FinishReason
            | AssertKind::IsValidOpenaiToolsCall
            | AssertKind::ToolCallF1
            | AssertKind::ToolCalls
            | AssertKind::AssertSet
    )
}
