//! One answer: a case is put to a release, turn by turn, and what comes is judged.
//!
//! A call of a tool is answered by the case's script: the first result of that name, and of those arguments where it asks
//! for some. A call that the script doesn't answer ends the turn: the assertions judge the calls. If there are further
//! turns, such a call is told that there is no result, since providers take no conversation with an open call.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pinrail_domain::id::RunId;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::aides::GateAides;
use super::patience::{Pace, Patience};
use super::plan::Ask;
use super::{Job, Means};
use crate::answer::{Answer, ToolCall};
use crate::ask::{Arm, AskFailed, Reply};
use crate::row::{Outcome, Row};
use crate::score::score;
use crate::suite::{Case, ToolResult, Turn};

/// What is needed to ask for one answer.
pub(super) struct Talk<'a> {
    pub job: &'a Job,
    pub means: &'a Means,
    pub pace: &'a Pace,
    pub ask: Ask,
    pub case: &'a Case,
}

/// An answer with what it cost.
pub(super) struct Told {
    pub row: Row,
    pub spent_nano_usd: u64,
}

/// Why a conversation ended before its last turn.
enum Broke {
    Error(String),
    Refused(String),
}

/// What was said so far.
#[derive(Default)]
struct Said {
    answers: Vec<Answer>,
    served: Vec<String>,
}

/// Model calls in one turn: an agent that calls a scripted tool more often goes in circles, and is judged as it is.
const STEPS_MAX: usize = 16;
/// What an open call is told before the next turn.
const NO_RESULT: &str = "{\"error\":\"this tool gives no result now\"}";

impl Talk<'_> {
    /// Asks and judges; none when it was told to stop meanwhile.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) -> Option<Told> {
        let retries = AtomicU32::new(0);
        let patience = self.patience(&retries);
        let arm = Arm { gate: self.job.gate, agent: self.job.agent.clone(), release: self.ask.key.release };
        let begun = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            begun = patience.begin(|| self.means.models.begin(arm.clone())) => begun,
        };
        let run = match begun {
            Ok(run) => run,
            Err(failed) => {
                let outcome = Outcome::Error { why: failed.to_string() };
                return Some(self.told(None, outcome, Said::default(), &retries, 0));
            }
        };
        let mut said = Said::default();
        let spent = AtomicU64::new(0);
        let asked = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            outcome = self.answer(run, &patience, &mut said, &spent) => Some(outcome),
        };
        let ok = matches!(asked, Some(Outcome::Scored(_)));
        self.means.models.end(run, ok).await;
        Some(self.told(Some(run), asked?, said, &retries, spent.into_inner()))
    }

    async fn answer(
        &self,
        run: RunId,
        patience: &Patience<'_>,
        said: &mut Said,
        judges: &AtomicU64,
    ) -> Outcome {
        match self.converse(run, patience, said).await {
            Ok(()) => {}
            Err(Broke::Error(why)) => return Outcome::Error { why },
            Err(Broke::Refused(why)) => return Outcome::Refused { why },
        }
        let aides = GateAides {
            job: self.job,
            models: &*self.means.models,
            python: self.means.python.as_deref(),
            patience: Patience { pace: patience.pace, retries: patience.retries, seed: patience.seed },
            spent_nano_usd: AtomicU64::new(0),
        };
        let scored = score(self.case, &said.answers, self.tools(), &aides).await;
        judges.store(aides.spent_nano_usd.load(Ordering::Relaxed), Ordering::Relaxed);
        match scored {
            Ok(score) => Outcome::Scored(score),
            Err(cannot) => Outcome::Error { why: format!("nothing could judge the answer: {cannot}") },
        }
    }

    async fn converse(&self, run: RunId, patience: &Patience<'_>, said: &mut Said) -> Result<(), Broke> {
        let mut messages: Vec<Value> = Vec::new();
        let last = self.case.turns.len().saturating_sub(1);
        for (place, turn) in self.case.turns.iter().enumerate() {
            said.answers.push(Answer::default());
            self.turn(run, patience, turn, &mut messages, said).await?;
            if place < last {
                close_calls(&mut messages);
            }
        }
        Ok(())
    }

    async fn turn(
        &self,
        run: RunId,
        patience: &Patience<'_>,
        turn: &Turn,
        messages: &mut Vec<Value>,
        said: &mut Said,
    ) -> Result<(), Broke> {
        messages.extend(turn.messages.iter().cloned());
        for _ in 0..STEPS_MAX {
            let body = self.body(messages);
            let reply = patience.call(|| self.means.models.ask(run, body.clone())).await;
            let reply = reply.map_err(|failed: AskFailed| Broke::Error(failed.to_string()))?;
            let Reply { message, is_pin, served, tool_calls, .. } = said.take(reply);
            if !is_pin {
                let served = served.unwrap_or_default();
                return Err(Broke::Refused(format!("`{served}` answered instead of the release's pin")));
            }
            messages.push(message);
            if tool_calls.is_empty() {
                return Ok(());
            }
            let results: Vec<Option<Value>> =
                tool_calls.iter().map(|call| result(&self.case.tool_results, call)).collect();
            let all_answered = results.iter().all(Option::is_some);
            messages.extend(results.into_iter().flatten());
            if !all_answered {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The request: the conversation, the case's own fields, and the variables of the release's prompt.
    fn body(&self, messages: &[Value]) -> Value {
        let own = self.case.request.iter().map(|(name, value)| (name.clone(), value.clone()));
        let mut body: Map<String, Value> = own.collect();
        body.insert("messages".to_owned(), messages.into());
        if !self.case.vars.is_empty() {
            body.insert("pinrail".to_owned(), json!({ "variables": self.case.vars }));
        }
        body.into()
    }

    fn tools(&self) -> &[Value] {
        let arms = [Some(&self.job.candidate), self.job.incumbent.as_ref()];
        let mine = arms.into_iter().flatten().find(|arm| arm.release == self.ask.key.release);
        mine.map_or(&[], |arm| &arm.tools)
    }

    fn patience<'a>(&'a self, retries: &'a AtomicU32) -> Patience<'a> {
        let digest = self.ask.key.case.as_bytes();
        let seed = u64::from_le_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ]);
        let release = u64::from(self.ask.key.release.0.as_bytes()[0]);
        Patience { pace: self.pace, retries, seed: seed ^ u64::from(self.ask.key.repeat) ^ (release << 32) }
    }

    fn told(
        &self,
        run: Option<RunId>,
        outcome: Outcome,
        said: Said,
        retries: &AtomicU32,
        judges_nano_usd: u64,
    ) -> Told {
        let Said { answers, served } = said;
        let own = answers.iter().filter_map(|answer| answer.cost_nano_usd).sum::<u64>();
        let row = Row {
            release: self.ask.key.release,
            case: self.ask.key.case,
            repeat: self.ask.key.repeat,
            at: self.means.clock.now(),
            run,
            outcome,
            answers,
            served,
            retries: retries.load(Ordering::Relaxed),
            reused: None,
        };
        Told { row, spent_nano_usd: own.saturating_add(judges_nano_usd) }
    }
}

impl Said {
    /// Adds a reply to the turn's answer; gives it back.
    fn take(&mut self, reply: Reply) -> Reply {
        let answer = self.answers.last_mut().expect("the turn has begun its answer");
        reply.text.clone_into(&mut answer.text);
        answer.tool_calls.extend(reply.tool_calls.iter().cloned());
        answer.finish_reason.clone_from(&reply.finish_reason);
        answer.refusal = reply.refusal;
        answer.latency_ms += reply.latency_ms;
        answer.cost_nano_usd = match (answer.cost_nano_usd, reply.cost_nano_usd) {
            (None, None) => None,
            (sum, cost) => Some(sum.unwrap_or(0).saturating_add(cost.unwrap_or(0))),
        };
        answer.input_tokens += reply.input_tokens;
        answer.output_tokens += reply.output_tokens;
        if let Some(served) = &reply.served
            && !self.served.contains(served)
        {
            self.served.push(served.clone());
        }
        reply
    }
}

/// What the script says to a call, as a message.
fn result(script: &[ToolResult], call: &ToolCall) -> Option<Value> {
    let arguments = call.parsed();
    let fits = |scripted: &&ToolResult| {
        scripted.name == call.name
            && (scripted.arguments.is_null() || arguments.as_ref() == Some(&scripted.arguments))
    };
    let said = &script.iter().find(fits)?.result;
    let content = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
    Some(json!({ "role": "tool", "tool_call_id": call.id.clone().unwrap_or_default(), "content": content }))
}

/// Answers the calls that are still open at the end of a conversation.
fn close_calls(messages: &mut Vec<Value>) {
    let Some(asked) = messages.iter().rposition(|message| message["role"] == "assistant") else { return };
    let answered: Vec<Value> =
        messages[asked..].iter().map(|message| message["tool_call_id"].clone()).collect();
    let calls = messages[asked]["tool_calls"].as_array().cloned().unwrap_or_default();
    let open = calls.iter().map(|call| &call["id"]).filter(|id| !answered.contains(id));
    let told = open.map(|id| json!({ "role": "tool", "tool_call_id": id, "content": NO_RESULT }));
    messages.extend(told);
}
