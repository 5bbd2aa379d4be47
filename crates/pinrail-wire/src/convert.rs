//! Carries requests from one dialect to another, and says of everything that can't be carried which field it was.
//!
//! Conditions: a request is read whole into one form (`turns`), in which every key of the source has its place, and written from
//! there. Nothing falls silently: a field without a counterpart is refused by its path, unless it is a *hint* (a field that changes
//! neither what is answered nor what is promised about it: marks for caches, names for a dashboard, defaults that are spelt out),
//! or its feature is one that the release's `lossy` names. All that is refused is told at once. `docs/conversion.md` has the tables.
//!
//! What goes over is what the client sent: the release (its model, parameters, prompt and tools) is applied afterwards, in the
//! provider's dialect. `pinrail` and the keys of `metadata` that speak to Pinrail are left out.

mod answers;
mod choice;
mod from_chat;
mod from_messages;
mod from_responses;
mod ids;
mod look;
mod losses;
mod media;
mod openai;
mod out;
mod params;
mod release;
mod thinking;
mod to_chat;
mod to_messages;
mod to_responses;
mod tools;
mod turns;

use crate::dialect::Dialect;

pub use answers::{
    About, GATHERED_BYTES_MAX, StreamConverter, StreamError, Unconvertible, answer, answer_id, error,
};
pub use losses::{FEATURES, Feature, Field, Lossy, MALFORMED, Refused, UnknownFeature};
pub use params::params;
pub use release::{ForeignTool, tools};
pub use to_messages::{TOKENS_MAX, TOKENS_MAX_THINKING};

use look::{Node, Object};
use losses::Losses;
use turns::{Form, Role, What};

/// A request in another dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// A JSON object.
    pub body: Vec<u8>,
    /// The features that were left out by leave of `lossy`, each once, in the order of [`FEATURES`].
    pub dropped: Vec<&'static str>,
}

/// Carries a request from the client's dialect to the provider's; call [`crate::json::check_depth`] on it before.
///
/// Between the same dialects nothing changes.
///
/// # Errors
/// [`Refused`], which names every field that can't be carried and that `lossy` doesn't let go.
pub fn request(from: Dialect, body: &[u8], to: Dialect, lossy: &Lossy) -> Result<Converted, Refused> {
    if from == to {
        return Ok(Converted { body: body.to_vec(), dropped: Vec::new() });
    }
    let mut losses = Losses::new(lossy);
    let written = object(body, &mut losses).map(|body| {
        let form = read(from, body, &mut losses);
        if (from == Dialect::Messages) != (to == Dialect::Messages) {
            check_end(&form, &mut losses);
        }
        write(to, &form, &mut losses)
    });
    let dropped = losses.settle()?;
    let body = written.expect("a body that is no object is told as a loss, and refused").into_bytes();
    Ok(Converted { body, dropped })
}

fn object<'a>(body: &'a [u8], losses: &mut Losses<'_>) -> Option<Object<'a>> {
    let text = std::str::from_utf8(body).ok().map(str::trim);
    let found = text.and_then(|text| Node { path: String::new(), text }.object(losses));
    if text.is_none() {
        losses.malformed("", "UTF-8 text");
    }
    found
}

fn read<'a>(from: Dialect, body: Object<'a>, losses: &mut Losses<'_>) -> Form<'a> {
    let form = match from {
        Dialect::Chat => from_chat::read(body, losses),
        Dialect::Responses => from_responses::read(body, losses),
        Dialect::Messages => from_messages::read(body, losses),
    };
    check_roles(&form, losses);
    form
}

/// Tells what stands where no dialect has it, such as an image among instructions: a writer would look past it.
fn check_roles(form: &Form<'_>, losses: &mut Losses<'_>) {
    for turn in &form.turns {
        for part in &turn.parts {
            let fits = match (&part.what, turn.role) {
                (What::Text(_), Role::System | Role::User | Role::Assistant)
                | (What::Image(_) | What::File(_) | What::Result(_), Role::User)
                | (What::Refusal(_) | What::Thought(_) | What::Call(_), Role::Assistant) => true,
                (What::Image(_) | What::File(_) | What::Result(_), Role::System | Role::Assistant)
                | (What::Refusal(_) | What::Thought(_) | What::Call(_), Role::System | Role::User) => false,
            };
            if !fits {
                losses.malformed(&part.path, "in a message of another role");
            }
            if let What::Result(output) = &part.what {
                let inner = |what: &What<'_>| matches!(what, What::Text(_) | What::Image(_) | What::File(_));
                for part in output.content.iter().filter(|part| !inner(&part.what)) {
                    losses.malformed(&part.path, "a text, an image or a file");
                }
            }
        }
    }
}

fn write(to: Dialect, form: &Form<'_>, losses: &mut Losses<'_>) -> String {
    match to {
        Dialect::Chat => to_chat::write(form, losses),
        Dialect::Responses => to_responses::write(form, losses),
        Dialect::Messages => to_messages::write(form, losses),
    }
}

/// Tells an assistant's turn at the end: Anthropic's models go on with its text, OpenAI's answer it.
fn check_end(form: &Form<'_>, losses: &mut Losses<'_>) {
    let Some(turn) = form.turns.last().filter(|turn| turn.role == Role::Assistant) else { return };
    if turn.parts.iter().any(|part| matches!(part.what, What::Text(_))) {
        losses.add(
            &turn.path,
            "prefill",
            "is the assistant's text at the end, which one vendor continues and the other answers",
        );
    }
}

#[cfg(test)]
mod tests;
