//! Two runs side by side: where their stamps differ, and their events aligned, with the texts word by word.

use askama::Template;
use pinrail_api::runs::Run;
use pinrail_domain::journal::{Body, Event, ModelResponse, Recorded};
use pinrail_domain::release::diff::{Op, TextDiff};
use serde::Serialize;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::page::{Nav, Page};
use crate::run::said;
use crate::runs;
use crate::shell::Shell;
use crate::ui::{self, Html, plain};

/// Two runs.
#[derive(Clone, Debug, Serialize)]
pub struct Compare {
    pub a: Side,
    pub b: Side,
}

/// One of them, with its first events.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    #[serde(flatten)]
    pub run: Run,
    pub events: Vec<Recorded>,
}

/// Events of a run that are compared.
pub const EVENTS_MAX: usize = 300;
/// Bytes of a text that are compared: two of this size take milliseconds.
const TEXT_BYTES_MAX: usize = 16_000;
/// Of all texts of a page together: a comparison takes longer than it is long, and others wait for the thread.
const PAGE_BYTES_MAX: usize = 120_000;

#[derive(Template)]
#[template(path = "compare.html")]
struct Main<'a> {
    it: &'a Compare,
    facts: Vec<Fact>,
    rows: Vec<Row>,
}

/// A fact of both runs.
struct Fact {
    label: &'static str,
    a: String,
    b: String,
}

/// Events at the same place of both, or of one alone.
struct Row {
    title: String,
    a: Option<Told>,
    b: Option<Told>,
    /// What both say, with what only one says marked; none where neither says anything.
    text: Option<Html>,
    /// Both say the same.
    same: bool,
}

/// One side of a row.
struct Told {
    seq: u64,
    facts: Vec<String>,
}

impl Page for Compare {
    fn nav(&self) -> Nav {
        Nav::Runs
    }

    fn title(&self) -> String {
        "Two runs".to_owned()
    }

    fn main(&self, _: &Shell) -> Html {
        ui::written(&Main { it: self, facts: self.facts(), rows: self.rows() })
    }
}

impl Compare {
    fn facts(&self) -> Vec<Fact> {
        let (a, b) = (&self.a.run, &self.b.run);
        let fact = |label, of: &dyn Fn(&Run) -> String| Fact { label, a: of(a), b: of(b) };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        vec![
            fact("Agent", &|run| run.stamp.agent.to_string()),
            fact("State", &|run| {
                let outcome = run.summary.outcome.map(|outcome| format!(", {}", outcome.word()));
                format!("{}{}", run.summary.status, outcome.unwrap_or_default())
            }),
            fact("Release", &|run| run.stamp.release.short()),
            fact("Model", &|run| format!("{} at {}", run.stamp.snapshot, run.stamp.provider)),
            fact("Deployment", &|run| run.stamp.deployment.to_string()),
            fact("Segment", &|run| run.stamp.segment.to_string()),
            fact("Epoch", &|run| run.stamp.epoch.to_string()),
            fact("Tenant", &|run| run.stamp.tenant.to_string()),
            fact("Session", &|run| or_none(run.stamp.session.as_ref().map(ToString::to_string))),
            fact("Attributes", &|run| {
                let all = run.stamp.attributes.iter().map(|(name, value)| format!("{name}={value}"));
                all.collect::<Vec<_>>().join(" ")
            }),
            fact("Started", &|run| ui::absolute(run.summary.started_at)),
            fact("Took", &runs::took),
            fact("Model calls", &|run| run.summary.calls.to_string()),
            fact("Tokens in → out", &|run| {
                format!(
                    "{} → {}",
                    ui::grouped(run.summary.input_tokens),
                    ui::grouped(run.summary.output_tokens)
                )
            }),
            fact("Cost", &|run| ui::usd(run.summary.cost_nano_usd)),
            fact("Not the pinned model", &|run| {
                (if run.summary.drifted { "answered" } else { "–" }).to_owned()
            }),
        ]
    }

    /// The events of both in order, those of one kind and name at the same place side by side.
    fn rows(&self) -> Vec<Row> {
        let keys = |side: &Side| side.events.iter().map(|recorded| key(&recorded.event)).collect::<Vec<_>>();
        let (a, b) = (keys(&self.a), keys(&self.b));
        let mut rows = Vec::new();
        let mut left = PAGE_BYTES_MAX;
        for op in capture_diff_slices(Algorithm::Myers, &a, &b) {
            let (tag, old, new) = op.as_tag_tuple();
            let (old, new) = (&self.a.events[old], &self.b.events[new]);
            match tag {
                DiffTag::Equal => {
                    rows.extend(old.iter().zip(new).map(|(a, b)| self.row(Some(a), Some(b), &mut left)));
                }
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                    rows.extend(old.iter().map(|a| self.row(Some(a), None, &mut left)));
                    rows.extend(new.iter().map(|b| self.row(None, Some(b), &mut left)));
                }
            }
        }
        rows
    }

    /// `left` is what may still be compared word by word, in bytes.
    fn row(&self, a: Option<&Recorded>, b: Option<&Recorded>, left: &mut usize) -> Row {
        let title = a.or(b).map(|recorded| key(&recorded.event)).unwrap_or_default();
        let said = |recorded: Option<&Recorded>| recorded.map(|recorded| says(&recorded.event));
        let texts = (said(a), said(b));
        let same = texts.0.is_some() && texts.0 == texts.1;
        let text = match texts {
            (Some(a), Some(b)) if a != b => {
                let bytes = head(&a).len() + head(&b).len();
                let fits = bytes <= *left;
                *left -= if fits { bytes } else { 0 };
                Some(if fits { differing(&a, &b) } else { beside(&a, &b) })
            }
            (a, b) => a.or(b).filter(|text| !text.is_empty()).map(|text| ui::block(&text)),
        };
        Row { title, a: a.map(|a| told(a, &self.a)), b: b.map(|b| told(b, &self.b)), text, same }
    }

    /// Whether a run has more events than are compared.
    fn is_cut(&self) -> bool {
        let longer = |side: &Side| side.run.summary.next.0 > side.events.len() as u64;
        longer(&self.a) || longer(&self.b)
    }
}

/// What no two runs share: that it differs says nothing.
const EACH_ITS_OWN: [&str; 4] = ["Started", "Took", "Tokens in → out", "Cost"];

impl Fact {
    fn differs(&self) -> bool {
        self.a != self.b && !EACH_ITS_OWN.contains(&self.label)
    }
}

/// What makes events of two runs each other's: their kind, and which call or which tool it is.
fn key(event: &Event) -> String {
    let kind = event.kind().replace('_', " ");
    match event {
        Event::ModelRequest { call, .. }
        | Event::ModelRetry { call, .. }
        | Event::ModelFailed { call, .. }
        | Event::Drift { call, .. }
        | Event::Dialled { call, .. } => format!("{kind} {call}"),
        Event::ModelResponse(answer) => format!("{kind} {}", answer.call),
        Event::ToolCall { name, .. }
        | Event::ToolResult { name, .. }
        | Event::ToolRuled { name, .. }
        | Event::ApprovalDecided { name, .. }
        | Event::Note { name, .. }
        | Event::Score { name, .. } => format!("{kind} {name}"),
        Event::Plan { .. }
        | Event::Started
        | Event::Compared(_)
        | Event::Paused { .. }
        | Event::Resumed
        | Event::Parked { .. }
        | Event::Finished { .. }
        | Event::Compensated { .. } => kind,
    }
}

/// What an event says, as one text.
fn says(event: &Event) -> String {
    let body = |body: Option<&Body>| match body {
        Some(Body::Text { text, truncated: _ }) => said::text(text),
        Some(Body::Digest { digest, bytes }) => format!("{} kept as {}", ui::bytes(*bytes), digest.short()),
        None => String::new(),
    };
    match event {
        Event::ModelRequest { body: kept, .. } => body(kept.as_ref()),
        Event::ModelResponse(answer) => body(answer.body.as_ref()),
        Event::ToolCall { arguments: value, .. }
        | Event::ToolResult { result: value, .. }
        | Event::Note { data: value, .. } => said::plain(value),
        Event::ModelRetry { why, .. }
        | Event::ModelFailed { why, .. }
        | Event::Paused { why }
        | Event::Parked { why } => why.clone(),
        Event::Drift { served, .. } => format!("served {served}"),
        Event::Dialled { position, place, .. } => format!("{position} for {place}"),
        Event::ToolRuled { ruling, why, .. } => {
            format!("{ruling} {}", why.as_deref().unwrap_or_default()).trim_end().to_owned()
        }
        Event::ApprovalDecided { approved, reason, .. } => {
            format!("{} {reason}", if *approved { "approved" } else { "denied" })
        }
        Event::Score { value, comment, .. } => {
            format!("{value:.2} of 1 {}", comment.as_deref().unwrap_or_default()).trim_end().to_owned()
        }
        Event::Compared(compared) => format!("divergence {:.3}", compared.divergence),
        Event::Finished { outcome, why } => {
            format!("{} {}", outcome.word(), why.as_deref().unwrap_or_default()).trim_end().to_owned()
        }
        Event::Plan { .. } | Event::Started | Event::Resumed | Event::Compensated { .. } => String::new(),
    }
}

fn told(recorded: &Recorded, side: &Side) -> Told {
    let after = recorded.at.0.saturating_sub(side.run.summary.started_at.0);
    let mut facts = vec![format!("+{}", runs::span(after))];
    if let Event::ModelResponse(answer) = &recorded.event {
        let ModelResponse { first_byte_us, last_byte_us, usage, cost_nano_usd, finish_reason, .. } =
            &**answer;
        facts.push(format!(
            "first byte {}, last {}",
            ui::took_us(*first_byte_us),
            ui::took_us(*last_byte_us)
        ));
        facts.extend(usage.map(|usage| {
            format!("{} → {} tokens", ui::grouped(usage.input_tokens), ui::grouped(usage.output_tokens))
        }));
        facts.extend(cost_nano_usd.map(ui::usd));
        facts.extend(finish_reason.clone());
    }
    Told { seq: recorded.seq.0, facts }
}

/// Both texts as one, word by word.
fn differing(a: &str, b: &str) -> Html {
    let (a_kept, b_kept) = (head(a), head(b));
    let mut html = String::from("<pre class=\"diff\" dir=\"auto\">");
    for run in TextDiff::between(a_kept, b_kept).runs {
        let text = ui::lines(&run.text);
        match run.op {
            Op::Equal if run.folded => html.push_str("<span class=\"dim\">…</span>\n"),
            Op::Equal => html.push_str(text.as_str()),
            Op::Insert => html.push_str(&format!("<ins>{text}</ins>")),
            Op::Delete => html.push_str(&format!("<del>{text}</del>")),
        }
    }
    html.push_str("</pre>");
    if a_kept.len() < a.len() || b_kept.len() < b.len() {
        html.push_str(&format!(
            "<p class=\"dim\">Only the first {} of each text are compared.</p>",
            plain(ui::bytes(TEXT_BYTES_MAX as u64))
        ));
    }
    Html::from_trusted(html)
}

/// Both texts one after the other, where the page compares no more.
fn beside(a: &str, b: &str) -> Html {
    let (a, b) = (ui::block(a), ui::block(b));
    Html::from_trusted(format!(
        "<p class=\"dim\">They differ; this page compares no more texts word by word.</p>{a}{b}"
    ))
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests;
