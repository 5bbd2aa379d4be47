//! What assertions make of answers. The cases of each kind are one line each: kind, value, output, what comes of it.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Aides, CannotScore, score};
use crate::answer::{Answer, ToolCall};
use crate::row::Score;
use crate::suite::{AssertKind, Assertion, Case, Turn};

mod calls;
mod graded;
mod hostile;
mod kinds;
mod scripts;
mod sums;

/// Aides that answer what they are told to.
#[derive(Default)]
struct Told {
    judge: Mutex<Vec<&'static str>>,
    prompts: Mutex<Vec<String>>,
    python: Option<String>,
}

#[async_trait]
impl Aides for Told {
    async fn judge(&self, prompt: &str) -> Result<(String, u64), CannotScore> {
        self.prompts.lock().unwrap().push(prompt.to_owned());
        let mut said = self.judge.lock().unwrap();
        if said.is_empty() {
            Err(CannotScore::Script("no judge".to_owned()))
        } else {
            Ok((said.remove(0).to_owned(), 7))
        }
    }

    /// One dimension per letter a, b and c.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, CannotScore> {
        let count = |text: &str, letter: char| {
            f32::from(u8::try_from(text.matches(letter).count()).unwrap_or(u8::MAX))
        };
        Ok(texts.iter().map(|text| ['a', 'b', 'c'].map(|letter| count(text, letter)).to_vec()).collect())
    }

    fn python(&self) -> Option<&str> {
        self.python.as_deref()
    }
}

/// What is to come of an assertion.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Pass,
    Fail,
    /// Passes or not, with this score.
    Scored(bool, f64),
    /// It can't be judged.
    Cannot,
}

fn assertion(kind: &str, value: Value) -> Assertion {
    let (not, kind) = kind.strip_prefix("not-").map_or((false, kind), |kind| (true, kind));
    let kind: AssertKind = serde_json::from_value(kind.into()).unwrap();
    Assertion { kind, not, value, ..Assertion::default() }
}

fn says(text: &str) -> Answer {
    Answer {
        text: text.to_owned(),
        finish_reason: Some("stop".to_owned()),
        latency_ms: 100.0,
        ..Answer::default()
    }
}

fn calls(list: &[(&str, Value)]) -> Answer {
    let call = |(name, arguments): &(&str, Value)| ToolCall {
        name: (*name).to_owned(),
        arguments: arguments.to_string(),
        id: Some("c1".to_owned()),
    };
    Answer {
        tool_calls: list.iter().map(call).collect(),
        finish_reason: Some("tool_calls".to_owned()),
        ..says("")
    }
}

fn case(asserts: Vec<Assertion>) -> Case {
    let turn =
        Turn { messages: vec![json!({ "role": "user", "content": "How much?" })], asserts: Vec::new() };
    Case { turns: vec![turn], asserts, vars: [("name".to_owned(), json!("Ada"))].into(), ..Case::default() }
}

async fn judge(assertion: Assertion, answer: Answer) -> Result<Score, CannotScore> {
    score(&case(vec![assertion]), &[answer], &[], &Told::default()).await
}

#[track_caller]
fn expect(what: &str, is: Is, got: &Result<Score, CannotScore>) {
    let seen = match (is, got) {
        (Is::Cannot, got) => got.is_err(),
        (_, Err(_)) => false,
        (Is::Pass, Ok(score)) => score.pass && score.why.is_empty() && score.score == 1.0,
        (Is::Fail, Ok(score)) => !score.pass && !score.why.is_empty(),
        (Is::Scored(pass, of), Ok(score)) => score.pass == pass && (score.score - of).abs() < 1e-9,
    };
    assert!(seen, "{what}: expected {is:?}, got {got:?}");
}

/// Judges a text by one assertion.
async fn check(kind: &str, value: Value, output: &str, is: Is) {
    let got = judge(assertion(kind, value.clone()), says(output)).await;
    expect(&format!("{kind} {value} on {output:?}"), is, &got);
}
