//! Forms: what was typed, and whether it comes from a page of this server.

use axum::extract::Query;
use http::HeaderValue;
use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use pinrail_api::problem::{Code, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::call::{Call, IDEMPOTENCY_KEY};

/// A form that asks for a reason alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    #[serde(default)]
    pub reason: String,
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What every form sends along, and what a page's address may say beside what it searches for.
const OUR_FIELDS: [&str; 5] = ["csrf", "once", "entry", "seen", "view"];

/// Checks that a form comes from a page of this server, and takes over its promise to be the same form.
pub fn open(call: &mut Call, by_bearer: bool) -> Result<(), Problem> {
    if !by_bearer {
        same_site(&call.head.headers)?;
        let expected = call.state.sessions.csrf(&call.head.headers, call.state.clock.now());
        let given = field(&call.body, "csrf").unwrap_or_default();
        if !super::session::same(expected.as_bytes(), given.as_bytes()) {
            return Err(Problem::new(
                Code::Forbidden,
                "this form is not from a page of this server, or its session has ended",
            )
            .next_step("load the page anew, and send the form again"));
        }
    }
    if let Some(once) = field(&call.body, "once").filter(|once| !once.is_empty())
        && let Ok(value) = HeaderValue::from_str(&once)
    {
        call.head.headers.insert(IDEMPOTENCY_KEY, value);
    }
    Ok(())
}

/// Refuses a form that gives no reason: the ledger is read by those who ask why.
pub fn reasoned(call: &Call) -> Result<(), Problem> {
    let reason = field(&call.body, "reason").unwrap_or_default();
    if reason.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "this needs a reason, which the ledger keeps")
            .next_step("go back and say why"));
    }
    Ok(())
}

/// What a form says, by name. What was left empty is absent.
pub fn typed<T: DeserializeOwned>(call: &Call) -> Result<T, Problem> {
    let text = std::str::from_utf8(&call.body).unwrap_or_default();
    parse(text).map_err(|detail| {
        Problem::new(Code::BadRequest, detail).next_step("go back, correct it and send it again")
    })
}

/// What a page's address says, by name. What was left empty is absent.
pub fn query<T: DeserializeOwned>(call: &Call) -> Result<T, Problem> {
    parse(call.head.uri.query().unwrap_or_default()).map_err(|detail| {
        Problem::new(Code::BadRequest, detail).next_step("correct the search and send it again")
    })
}

/// One field, decoded.
pub fn field(body: &[u8], name: &str) -> Option<String> {
    let pairs = std::str::from_utf8(body).ok()?.split('&');
    let value =
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.replace('+', " ");
    percent_decoded(&value)
}

fn percent_decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let kept = text.split('&').filter(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !value.is_empty() && !OUR_FIELDS.contains(&name)
    });
    let uri = format!("/?{}", kept.collect::<Vec<_>>().join("&"));
    let uri = uri.parse().map_err(|_| "what was typed can't be read".to_owned())?;
    let Query(read) =
        Query::<T>::try_from_uri(&uri).map_err(|error| crate::problem::chain(&error).to_lowercase())?;
    Ok(read)
}

/// Refuses what a browser says that another site's page sent.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = || {
        Err(Problem::new(Code::Forbidden, "another site's page sent this form")
            .next_step("do it from the dashboard itself"))
    };
    if let Some(site) = headers.get(FETCH_SITE)
        && site != "same-origin"
        && site != "none"
    {
        return foreign();
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let from = origin.split_once("://").map_or(origin, |(_, host)| host);
    if Some(from) == host { Ok(()) } else { foreign() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed {
        reason: Option<String>,
        weight: Option<u16>,
    }

    #[test]
    fn what_is_left_empty_is_absent_and_what_is_unknown_is_refused() {
        let check =
            |text: &str, expected: Option<Typed>| assert_eq!(parse::<Typed>(text).ok(), expected, "{text}");
        check("", Some(Typed { reason: None, weight: None }));
        check("reason=&weight=5&csrf=x&once=y", Some(Typed { reason: None, weight: Some(5) }));
        check("reason=a+b%20%C3%BC", Some(Typed { reason: Some("a b ü".to_owned()), weight: None }));
        check("colour=red", None);
        check("weight=much", None);
    }
}
