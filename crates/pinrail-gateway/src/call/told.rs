//! What a client is told when a call can't be made or its answer can't be given: the cause and the next step.

use std::borrow::Cow;

use http::StatusCode;
use pinrail_domain::journal::FaultOf;
use pinrail_wire::redact::Redactor;
use pinrail_wire::{Dialect, convert};

use crate::failure::{Failure, chain};
use crate::prepared::{PromptError, Unapplied, Unusable};

/// Whose fault a provider's error is. The key and the model id are Pinrail's to set, the request is the client's.
pub fn fault_of(status: StatusCode) -> FaultOf {
    match status.as_u16() {
        401..=404 => FaultOf::Pinrail,
        408 | 409 | 429 => FaultOf::Provider,
        400..=499 => FaultOf::Client,
        _ => FaultOf::Provider,
    }
}

/// A redirect must not reach the client, who would send its key and its prompt to another host.
pub fn redirected(status: StatusCode) -> Failure {
    let message = format!(
        "the provider answers with a redirect (status {}); set its base_url to where it leads and `pinrail apply`",
        status.as_u16()
    );
    Failure::pinrail(StatusCode::BAD_GATEWAY, "provider_redirects", message)
}

pub fn nonsense(message: String) -> Failure {
    let message = format!("{message}; try again, and look at the provider's base_url when it stays so");
    Failure::provider(StatusCode::BAD_GATEWAY, "provider_nonsense", message).retry_after(1)
}

/// The model's answer holds something that the client's dialect has no words for.
pub fn unconvertible_answer(why: &str) -> Failure {
    let message = format!(
        "the provider's answer can't be given in the client's dialect: {why}; call with the provider's own, or list the \
         feature in the release's `model.lossy`"
    );
    Failure::pinrail(StatusCode::BAD_GATEWAY, "unconvertible_answer", message)
}

pub fn unconvertible(refused: &convert::Refused, client: Dialect, provider: Dialect) -> Failure {
    let message = format!(
        "the release's provider speaks `{}`, and this `{}` request can't be said in it: {refused}",
        provider.word(),
        client.word()
    );
    let failure = Failure::bad_request("unconvertible_request", message).quoting();
    match refused.param() {
        Some(param) => failure.about(param.to_owned()),
        None => failure,
    }
}

pub fn unreadable(error: &pinrail_wire::RequestError) -> Failure {
    let failure = Failure::bad_request("invalid_request", error.to_string());
    match error.param() {
        Some(param) => failure.about(param.to_owned()),
        None => failure,
    }
}

pub fn release_unusable(unusable: &Unusable) -> Failure {
    let why = chain(unusable, &Redactor::default());
    let message = format!("the release cannot be applied: {why}; deploy a release without that fault");
    Failure::pinrail(StatusCode::INTERNAL_SERVER_ERROR, "release_unusable", message)
}

pub fn unapplied(why: Unapplied) -> Failure {
    let prompt = |code, message: String| Failure::bad_request(code, message).about("pinrail.variables");
    match why {
        Unapplied::Prompt(PromptError::Missing { variable }) => {
            let message = format!(
                "the release's system prompt needs the variable `{variable}`; send it in `pinrail.variables` or as \
                 `metadata.pinrail_var_{variable}`"
            );
            Failure::bad_request("missing_variable", message)
                .about(Cow::Owned(format!("pinrail.variables.{variable}")))
        }
        Unapplied::Prompt(PromptError::TooLong { bytes_max }) => prompt(
            "prompt_too_long",
            format!(
                "with these variables the system prompt is longer than {bytes_max} bytes; send shorter ones"
            ),
        ),
        Unapplied::Prompt(PromptError::TooMuchWork { fuel }) => prompt(
            "prompt_too_costly",
            format!(
                "with these variables the system prompt takes more than {fuel} steps; send shorter lists"
            ),
        ),
        Unapplied::Prompt(PromptError::Unfit { why }) => prompt(
            "variable_unfit",
            format!(
                "the variables do not fit the release's system prompt ({why}); send them in the form it uses"
            ),
        ),
        Unapplied::Conflict(field) => {
            let message = format!(
                "`{field}` lets something else answer than what the release pins; leave it out, or deploy a release of this"
            );
            Failure::client(StatusCode::CONFLICT, "release_mismatch", message).about(field)
        }
        Unapplied::Mismatch(list) => {
            let param = list.first().map(|mismatch| mismatch.field.clone()).unwrap_or_default();
            let all: Vec<String> = list.iter().map(ToString::to_string).collect();
            let message = format!(
                "the request is not what the release pins: {}; send what is pinned, or deploy a release of this",
                all.join("; ")
            );
            Failure::client(StatusCode::CONFLICT, "release_mismatch", message).about(param).quoting()
        }
    }
}
