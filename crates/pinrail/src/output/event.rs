//! A run's events, one line each.

use pinrail_domain::journal::{Body, Event, ModelResponse, Recorded};
use serde_json::Value;

use super::{money, one_line, time};

/// Longest detail of an event's line.
const DETAIL_CHARS: usize = 160;

/// One event on one line: place, time, kind, details.
pub fn line(recorded: &Recorded) -> String {
    let detail = one_line(&detail(&recorded.event), DETAIL_CHARS);
    let text =
        format!("{:>4}  {}  {:<14}  {detail}", recorded.seq, time::clock(recorded.at), recorded.event.kind());
    text.trim_end().to_owned()
}

fn detail(event: &Event) -> String {
    match event {
        Event::Plan { stamp, queued } => {
            let queued = if *queued { ", queued" } else { "" };
            format!(
                "deployment {}, release {}, {} ({}){queued}",
                stamp.deployment,
                stamp.release.short(),
                stamp.snapshot,
                stamp.provider
            )
        }
        Event::Started | Event::Resumed => String::new(),
        Event::ModelRequest { call, stream, dropped, body } => {
            let stream = if *stream { ", streamed" } else { "" };
            let dropped = match dropped.is_empty() {
                true => String::new(),
                false => format!(", without {}", dropped.join(", ")),
            };
            format!("call {call}{stream}{dropped}{}", body_of(body.as_ref()))
        }
        Event::ModelRetry { call, attempt, why } => format!("call {call}, attempt {attempt}: {why}"),
        Event::ModelResponse(response) => response_of(response),
        Event::ModelFailed { call, fault, code, why } => {
            format!("call {call}: {code}, the {}'s fault: {why}", format!("{fault:?}").to_lowercase())
        }
        Event::Drift { call, pinned, served, provider } => {
            let at = provider.as_ref().map(|provider| format!(" at {provider}")).unwrap_or_default();
            format!("call {call}: pinned {pinned}, served {served}{at}")
        }
        Event::ToolCall { name, arguments, .. } => format!("{name} {}", json(arguments)),
        Event::ToolResult { name, error, result, .. } => {
            format!("{name}{} {}", if *error { " failed:" } else { "" }, json(result))
        }
        Event::Dialled { call, position, place, withheld } => {
            let withheld = match withheld.is_empty() {
                true => String::new(),
                false => format!(", not offered: {}", withheld.join(", ")),
            };
            format!("call {call}: the dial of {place} stands at {position}{withheld}")
        }
        Event::ToolRuled { name, ruling, approval, why, .. } => {
            let approval = approval.map(|approval| format!(" {approval}")).unwrap_or_default();
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("{name} {ruling}{approval}{why}")
        }
        Event::ApprovalDecided { approval, name, approved, by, reason } => {
            let said = if *approved { "approved" } else { "denied" };
            format!("{approval}: {name} {said} by {}: {reason}", pinrail_domain::approval::who(by))
        }
        Event::Note { name, data } => format!("{name} {}", json(data)),
        Event::Score { name, value, comment } => {
            let comment = comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
            format!("{name} {value}{comment}")
        }
        Event::Compared(compared) => {
            format!("{:.3} from the live answer of {}", compared.divergence, compared.live)
        }
        Event::Compensated { deployment, event, id, reason } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            format!("event {event} reported since deployment {deployment} is bad, as {id}{reason}")
        }
        Event::Paused { why } | Event::Parked { why } => why.clone(),
        Event::Finished { outcome, why } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("{}{why}", format!("{outcome:?}").to_lowercase())
        }
    }
}

fn response_of(response: &ModelResponse) -> String {
    let mut parts = vec![
        format!("call {}", response.call),
        format!("{} {}", response.status, format!("{:?}", response.ending).to_lowercase()),
    ];
    match (&response.snapshot, &response.provider) {
        (Some(snapshot), Some(provider)) => parts.push(format!("{snapshot} at {provider} answered")),
        (Some(snapshot), None) => parts.push(format!("{snapshot} answered")),
        (None, Some(provider)) => parts.push(format!("{provider} answered")),
        (None, None) => {}
    }
    parts.extend(response.served_model.clone());
    parts.extend(response.finish_reason.clone());
    if response.refusal {
        parts.push("refusal".to_owned());
    }
    if !response.tool_calls.is_empty() {
        parts.push(format!("calls {}", response.tool_calls.join(", ")));
    }
    if let Some(usage) = response.usage {
        parts.push(format!("{} in, {} out", usage.input_tokens, usage.output_tokens));
    }
    parts.extend(response.cost_nano_usd.map(money::cost));
    parts.push(format!("{} / {}", time::millis(response.first_byte_us), time::millis(response.last_byte_us)));
    parts.join(" · ") + &body_of(response.body.as_ref())
}

fn body_of(body: Option<&Body>) -> String {
    match body {
        Some(Body::Text { text, .. }) => format!(": {text}"),
        Some(Body::Digest { digest, bytes }) => format!(" · {bytes} bytes, {}", digest.short()),
        None => String::new(),
    }
}

fn json(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}
