//! One event as people read it: a title, the facts that go with it, and the texts, folded where they are long.

use pinrail_domain::approval;
use pinrail_domain::journal::{Body, Compared, Event, ModelResponse, Outcome, Recorded};
use serde_json::Value;

use super::said;
use super::scale::{Scale, Stretch};
use crate::ui::{self, Html, Tone, plain};

/// An event, written down.
pub(super) struct Step {
    pub seq: u64,
    /// How long after the page's first event: `+1.25 s`.
    pub offset: String,
    pub at: String,
    pub bar: Html,
    pub tone: Tone,
    pub title: Html,
    pub facts: Vec<Html>,
    pub texts: Vec<Said>,
}

/// A text with who said it.
pub(super) struct Said {
    pub who: String,
    pub text: Html,
}

/// What stands beside a step's time.
#[derive(Default)]
struct Told {
    tone: Option<Tone>,
    title: String,
    facts: Vec<Html>,
    texts: Vec<Said>,
    stretches: Vec<Stretch>,
}

/// Writes an event down; `all` are those around it, among which its answer or result is.
pub(super) fn step(recorded: &Recorded, all: &[Recorded], scale: &Scale) -> Step {
    let Told { tone, title, facts, texts, stretches } = told(recorded, all);
    Step {
        seq: recorded.seq.0,
        offset: scale.offset(recorded.at),
        at: ui::absolute(recorded.at),
        bar: scale.bar(recorded.at, &stretches),
        tone: tone.unwrap_or(Tone::Plain),
        title: plain(title),
        facts,
        texts,
    }
}

fn told(recorded: &Recorded, all: &[Recorded]) -> Told {
    match &recorded.event {
        Event::ModelRequest { .. }
        | Event::ModelRetry { .. }
        | Event::ModelResponse(_)
        | Event::ModelFailed { .. }
        | Event::Drift { .. }
        | Event::Compared(_) => model(&recorded.event, all),
        Event::ToolCall { .. }
        | Event::ToolResult { .. }
        | Event::Dialled { .. }
        | Event::ToolRuled { .. }
        | Event::ApprovalDecided { .. }
        | Event::Compensated { .. } => tool(recorded, all),
        Event::Plan { .. }
        | Event::Started
        | Event::Note { .. }
        | Event::Score { .. }
        | Event::Paused { .. }
        | Event::Resumed
        | Event::Parked { .. }
        | Event::Finished { .. } => life(recorded, all),
    }
}

/// Calls of models. Any other event says nothing here.
fn model(event: &Event, all: &[Recorded]) -> Told {
    let told = |title: String| Told { title, ..Told::default() };
    if let Event::ModelRequest { call, stream, dropped, body } = event {
        let mut told = told(format!("model call {call}{}", if *stream { ", streamed" } else { "" }));
        if !dropped.is_empty() {
            told.facts.push(fact("left out for the provider's dialect", &dropped.join(", ")));
        }
        told.body(body.as_ref());
        if let Some(answer) = answer_to(*call, all) {
            let until_us = answer.last_byte_us;
            told.stretches.push(Stretch { class: "wait", from_us: 0, until_us: answer.first_byte_us });
            told.stretches.push(Stretch { class: "work", from_us: answer.first_byte_us, until_us });
        }
        return told;
    }
    if let Event::ModelRetry { call, attempt, why } = event {
        let told = told(format!("call {call}: attempt {attempt} failed, another follows"));
        return told.toned(Tone::Warn).saying("why", why);
    }
    if let Event::ModelFailed { call, fault, code, why } = event {
        let fault = format!("{fault:?}").to_lowercase();
        let mut told = told(format!("call {call} failed: {code}")).toned(Tone::Bad);
        told.facts.push(fact("fault of the", &fault));
        return told.saying("why", why);
    }
    if let Event::Drift { call, pinned, served, provider } = event {
        let mut told = told(format!("call {call}: not the pinned model answered")).toned(Tone::Warn);
        told.facts.push(fact("pinned", pinned));
        told.facts.push(fact("served", served));
        told.facts.extend(provider.as_ref().map(|provider| fact("by", provider.as_str())));
        return told;
    }
    if let Event::Compared(compared) = event {
        return comparison(compared);
    }
    let Event::ModelResponse(answer) = event else { return Told::default() };
    response(answer)
}

fn response(answer: &ModelResponse) -> Told {
    let ending = format!("{:?}", answer.ending).to_lowercase();
    let is_whole = ending == "complete" && answer.status < 400;
    let mut told = Told { title: format!("answer to call {}: {ending}", answer.call), ..Told::default() };
    told.tone = Some(if is_whole { Tone::Good } else { Tone::Bad });
    if answer.status != 200 {
        told.facts.push(fact("status", &answer.status.to_string()));
    }
    told.facts.push(fact("first byte after", &ui::took_us(answer.first_byte_us)));
    told.facts.push(fact("last byte after", &ui::took_us(answer.last_byte_us)));
    if let Some(usage) = answer.usage {
        let cached = match usage.cached_input_tokens {
            0 => String::new(),
            n => format!(" ({} cached)", ui::grouped(n)),
        };
        let words = format!(
            "{}{cached} in, {} out",
            ui::grouped(usage.input_tokens),
            ui::grouped(usage.output_tokens)
        );
        told.facts.push(fact("tokens", &words));
    }
    told.facts.extend(answer.cost_nano_usd.map(|cost| fact("cost", &ui::usd(cost))));
    for (label, value) in [
        ("served as", &answer.served_model),
        ("finish", &answer.finish_reason),
        ("fingerprint", &answer.fingerprint),
        ("asked", &answer.snapshot),
    ] {
        told.facts.extend(value.as_ref().map(|value| fact(label, value)));
    }
    told.facts.extend(answer.provider.as_ref().map(|provider| fact("by", provider.as_str())));
    told.facts
        .extend(answer.vectors.map(|count| fact("gave", &ui::count(count.into(), "vector", "vectors"))));
    for (is_so, words) in [
        (answer.refusal, "a refusal"),
        (answer.canned, "the dial's text: nobody was asked"),
        (answer.empty, "neither text nor tool call in it"),
    ] {
        if is_so {
            told.facts.push(ui::badge(Tone::Warn, words));
        }
    }
    if !answer.tool_calls.is_empty() {
        told.facts.push(fact("calls tools", &answer.tool_calls.join(", ")));
    }
    told.body(answer.body.as_ref());
    told
}

fn comparison(compared: &Compared) -> Told {
    let title = format!("compared with the live answer: divergence {:.3} of 1", compared.divergence);
    let mut told = Told { title, ..Told::default() };
    told.facts.push(Html::from_trusted(format!("live run {}", crate::runs::link(compared.live))));
    told.facts.extend(compared.text.map(|same| fact("text alike", &ui::percent(same))));
    told.facts.extend(compared.tools.map(|same| fact("tool calls alike", &ui::percent(same))));
    let [candidate, live] = compared.last_byte_us;
    told.facts.push(fact("took", &format!("{}, live {}", ui::took_us(candidate), ui::took_us(live))));
    if let Some([candidate, live]) = compared.cost_nano_usd {
        told.facts.push(fact("cost", &format!("{}, live {}", ui::usd(candidate), ui::usd(live))));
    }
    told
}

/// Tools: called, answered, kept away, decided about.
fn tool(recorded: &Recorded, all: &[Recorded]) -> Told {
    let told = |title: String| Told { title, ..Told::default() };
    let event = &recorded.event;
    if let Event::ToolCall { name, id, arguments } = event {
        let mut told = told(format!("tool {name}")).with_value("arguments", arguments);
        told.facts.extend(id.as_ref().map(|id| fact("call", id)));
        if let Some(until) = result_of(recorded, name, id.as_deref(), all) {
            let ms = until.at.0.saturating_sub(recorded.at.0);
            told.facts.push(fact("took", &crate::runs::span(ms)));
            let until_us = ms.saturating_mul(1_000);
            told.stretches.push(Stretch { class: "tool", from_us: 0, until_us });
        }
        return told;
    }
    if let Event::ToolResult { name, id, error, result } = event {
        let (words, tone) = if *error { ("failed", Tone::Bad) } else { ("answered", Tone::Good) };
        let mut told = told(format!("tool {name} {words}")).toned(tone).with_value("result", result);
        told.facts.extend(id.as_ref().map(|id| fact("call", id)));
        return told;
    }
    if let Event::Dialled { call, position, place, withheld } = event {
        let mut told = told(format!("call {call}: the dial stands at {position}")).toned(Tone::Warn);
        told.facts.push(fact("for", place));
        if !withheld.is_empty() {
            told.facts.push(fact("not offered", &withheld.join(", ")));
        }
        return told;
    }
    if let Event::ToolRuled { name, id, call: _, ruling, approval, why } = event {
        let mut told = told(format!("tool {name}: {ruling}")).toned(Tone::Warn);
        told.facts.extend(id.as_ref().map(|id| fact("call", id)));
        told.facts.extend(approval.map(|approval| fact("approval", &approval.to_string())));
        told.facts.extend(why.as_ref().map(plain));
        return told;
    }
    if let Event::ApprovalDecided { approval, name, approved, by, reason } = event {
        let (words, tone) = if *approved { ("approved", Tone::Good) } else { ("denied", Tone::Bad) };
        let mut told = told(format!("tool {name} {words} by {}", approval::who(by))).toned(tone);
        told.facts.push(fact("approval", &approval.to_string()));
        return if reason.is_empty() { told } else { told.saying("reason", reason) };
    }
    let Event::Compensated { deployment, event, id, reason } = event else { return Told::default() };
    let mut told =
        told(format!("the call at event {event} was reported, since deployment {deployment} is bad"));
    told.facts.push(fact("known there as", id));
    let told = told.toned(Tone::Warn);
    if reason.is_empty() { told } else { told.saying("reason", reason) }
}

/// The run's life, and what its caller put on record.
fn life(recorded: &Recorded, all: &[Recorded]) -> Told {
    let told = |title: &str| Told { title: title.to_owned(), ..Told::default() };
    match &recorded.event {
        Event::Plan { stamp, queued } => {
            let mut told = told("plan: stamped, for life");
            told.facts.push(fact("deployment", &stamp.deployment.to_string()));
            told.facts.push(fact("release", &stamp.release.short()));
            told.facts.push(fact("model", &format!("{} ({})", stamp.snapshot, stamp.provider)));
            if *queued {
                told.facts.push(ui::badge(Tone::Live, "queued"));
            }
            told
        }
        Event::Started => told("started: a worker took it"),
        Event::Resumed => told("resumed"),
        Event::Note { name, data } => told(&format!("note {name}")).with_value("data", data),
        Event::Score { name, value, comment } => {
            let told = told(&format!("score {name}: {value:.2} of 1"));
            match comment {
                Some(comment) => told.saying("comment", comment),
                None => told,
            }
        }
        Event::Paused { why } => {
            let mut told = told("paused").toned(Tone::Warn).saying("why", why);
            let after = all.iter().find(|other| other.seq > recorded.seq && other.event == Event::Resumed);
            if let Some(after) = after {
                let until_us = after.at.0.saturating_sub(recorded.at.0).saturating_mul(1_000);
                told.stretches.push(Stretch { class: "idle", from_us: 0, until_us });
            }
            told
        }
        Event::Parked { why } => told("parked: it can't go on").toned(Tone::Bad).saying("why", why),
        Event::Finished { outcome, why } => {
            let tone = match outcome {
                Outcome::Ok => Tone::Good,
                Outcome::Error => Tone::Bad,
                Outcome::Cancelled => Tone::Warn,
            };
            let told = told(&format!("finished: {}", outcome.word())).toned(tone);
            match why {
                Some(why) => told.saying("why", why),
                None => told,
            }
        }
        Event::ModelRequest { .. }
        | Event::ModelRetry { .. }
        | Event::ModelResponse(_)
        | Event::ModelFailed { .. }
        | Event::Drift { .. }
        | Event::Compared(_)
        | Event::ToolCall { .. }
        | Event::ToolResult { .. }
        | Event::Dialled { .. }
        | Event::ToolRuled { .. }
        | Event::ApprovalDecided { .. }
        | Event::Compensated { .. } => Told::default(),
    }
}

impl Told {
    fn toned(self, tone: Tone) -> Told {
        Told { tone: Some(tone), ..self }
    }

    fn saying(mut self, who: &str, text: &str) -> Told {
        self.texts.push(Said { who: who.to_owned(), text: ui::block(text) });
        self
    }

    fn with_value(self, what: &str, value: &Value) -> Told {
        if value.is_null() { self } else { self.saying(what, &said::plain(value)) }
    }

    /// What a request or an answer says, as far as it was kept.
    fn body(&mut self, body: Option<&Body>) {
        match body {
            Some(Body::Text { text, truncated }) => {
                match said::turns(text) {
                    Some(turns) => {
                        let said = turns.into_iter();
                        self.texts
                            .extend(said.map(|turn| Said { who: turn.who, text: ui::block(&turn.text) }));
                    }
                    None => self.texts.push(Said { who: "body".to_owned(), text: ui::block(text) }),
                }
                if *truncated {
                    self.facts.push(ui::badge(Tone::Warn, "longer than the journal keeps"));
                }
            }
            Some(Body::Digest { digest, bytes }) => {
                let words = format!("{}, kept as a digest: {}", ui::bytes(*bytes), digest.short());
                self.facts.push(fact("body", &words));
            }
            None => {}
        }
    }
}

fn fact(label: &str, value: &str) -> Html {
    Html::from_trusted(format!("<span class=\"dim\">{}</span> {}", plain(label), plain(value)))
}

/// The answer to a call, where it is among these events.
fn answer_to(asked: u32, all: &[Recorded]) -> Option<&ModelResponse> {
    all.iter().find_map(|other| {
        let Event::ModelResponse(answer) = &other.event else { return None };
        (answer.call == asked).then_some(&**answer)
    })
}

/// The result of a tool's call: the one with its id, else the next one of its name.
fn result_of<'a>(
    called: &Recorded,
    name: &str,
    id: Option<&str>,
    all: &'a [Recorded],
) -> Option<&'a Recorded> {
    all.iter().filter(|other| other.seq > called.seq).find(|other| {
        let Event::ToolResult { name: answered, id: of, .. } = &other.event else { return false };
        match (id, of.as_deref()) {
            (Some(id), Some(of)) => id == of,
            (Some(_) | None, _) => name == answered,
        }
    })
}
