//! `pinrail context watch`: follows what comes into a view and goes out of it.

use std::time::Duration;

use pinrail_api::context::{ContextGone, ContextValue, Message};
use pinrail_domain::id::CollectionName;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Read, VALUE_CHARS, path};
use crate::cli::Context;
use crate::client::ClientError;
use crate::output::{clean, one_line, talk};

/// Before a broken stream is taken up again: a server that starts anew needs about as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints until ctrl-c. A stream that breaks is taken up where it was.
pub fn run(
    space: &CollectionName,
    read: &Read,
    after: Option<&String>,
    context: &Context,
) -> anyhow::Result<()> {
    let client = read.reader.client(context);
    let path = read.query().add("after", after).on(&format!("{}/watch", path(space)));
    let mut last: Option<String> = None;
    loop {
        let mut events = match client.follow(&path, last.as_deref()) {
            Ok(events) => events,
            // Whoever has followed once goes on when the server is back.
            Err(ClientError::Unreachable { .. }) if last.is_some() => {
                pause();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        while let Ok(Some(event)) = events.next() {
            if context.out.is_json() {
                let data: &RawValue = serde_json::from_str(&event.data)?;
                context.out.data(&json!({ "event": event.name, "data": data }).to_string())?;
            } else {
                context.out.data(&clean(&line(&event.name, &event.data)?))?;
            }
            if !event.id.is_empty() {
                last = Some(event.id);
            }
        }
        talk("the stream ended; following again");
        pause();
    }
}

#[allow(clippy::disallowed_methods, reason = "a server that is away can't be waited on")]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn line(name: &str, data: &str) -> serde_json::Result<String> {
    Ok(match name {
        "current" => {
            let data: serde_json::Value = serde_json::from_str(data)?;
            format!("--      as of {}", data["moment"].as_str().unwrap_or_default())
        }
        "delete" | "hidden" => {
            let ContextGone { key, version, hidden } = serde_json::from_str(data)?;
            let key = key.map_or_else(|| "message".to_owned(), |key| key.to_string());
            format!("{name:7} {key} (version {version}): {hidden}")
        }
        _ => match serde_json::from_str::<ContextValue>(data) {
            Ok(value) => {
                let text = value.value.as_ref().map_or("(not accepted)", |value| value.get());
                format!(
                    "{name:7} {} (version {}) = {}",
                    value.key,
                    value.version,
                    one_line(text, VALUE_CHARS)
                )
            }
            Err(_) => {
                let message: Message = serde_json::from_str(data)?;
                let body = message.body.as_ref().map_or("(not accepted)", |body| body.get());
                let kind = message.kind.unwrap_or_default();
                format!("{name:7} message {} {kind} {}", message.seq, one_line(body, VALUE_CHARS))
            }
        },
    })
}
