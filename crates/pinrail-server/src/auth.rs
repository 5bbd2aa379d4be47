//! Who calls, and whether they may.
//!
//! A call is let in when, in this order: its key works (or the server has no keys yet); where there are no keys, it
//! doesn't come from somebody else's web page; the key holds one of the route's scopes; and, on a route that shows or
//! changes what belongs to no tenant, the key isn't limited to tenants (I11).

use http::Uri;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_control::keys::{Caller, Unauthenticated};
use pinrail_domain::key::{Scope, Tenants};

use crate::routes::Access;

/// Tells who calls a model. Anthropic's clients show their key in a header of its own.
pub fn model_caller(control: &Control, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Problem> {
    let shown = match (headers.contains_key(AUTHORIZATION), headers.get(X_API_KEY)) {
        (false, Some(key)) => Some(key.to_str().map(str::trim).map_err(|_| {
            let detail = "the x-api-key header must be visible ASCII";
            Problem::new(Code::Unauthenticated, detail).next_step(HOW_TO_AUTHENTICATE)
        })?),
        (_, _) => bearer(headers)?,
    };
    let caller = control.authenticate(shown).map_err(unauthenticated)?;
    if !control.is_keyed() {
        refuse_other_pages(headers, uri)?;
    }
    Ok(caller)
}

/// Tells who calls.
pub fn caller(control: &Control, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Problem> {
    let caller = control.authenticate(bearer(headers)?).map_err(unauthenticated)?;
    if !control.is_keyed() {
        refuse_other_pages(headers, uri)?;
    }
    Ok(caller)
}

/// Refuses a caller whose key doesn't reach the route.
pub fn authorize(caller: &Caller, access: &Access) -> Result<(), Problem> {
    let (scopes, by_tenant) = match access {
        Access::Public => return Ok(()),
        Access::Key { scopes, by_tenant } => (*scopes, *by_tenant),
    };
    require(caller, scopes)?;
    match &caller.tenants {
        Tenants::Only(_) if !by_tenant => Err(Problem::new(
            Code::Forbidden,
            "this key is limited to tenants, and what lies here belongs to no tenant",
        )
        .next_step("use a key without a tenant limit (`pinrail key create`, no --tenant)")),
        Tenants::Only(_) | Tenants::All => Ok(()),
    }
}

/// Refuses a caller who holds none of `scopes`.
pub fn require(caller: &Caller, scopes: &[Scope]) -> Result<(), Problem> {
    if scopes.iter().any(|scope| caller.may(*scope)) {
        return Ok(());
    }
    let names: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    let names = names.join(" or ");
    Err(Problem::new(Code::Forbidden, format!("this needs a key with the scope {names}"))
        .next_step(format!("ask an admin for one: `pinrail key create NAME --scope {}`", scopes[0]))
        .fact("scope", names))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| {
        // Clients that were given an empty key send the scheme alone.
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match (token, values.next()) {
        (Some(token), None) => Ok(Some(token)),
        (None, None) | (_, Some(_)) => {
            let detail = "the Authorization header must be there once and read `Bearer pr_…`";
            Err(Problem::new(Code::Unauthenticated, detail).next_step(HOW_TO_AUTHENTICATE))
        }
    }
}

fn unauthenticated(error: Unauthenticated) -> Problem {
    Problem::new(Code::Unauthenticated, error.to_string()).next_step(HOW_TO_AUTHENTICATE)
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const HOW_TO_AUTHENTICATE: &str =
    "set PINRAIL_KEY, or send `Authorization: Bearer <key>`; an admin makes keys with `pinrail key create`";

/// While nobody needs a key, a web page in the operator's browser could speak for them: it is told apart by its
/// `Origin`, or, where a name of its own leads to this machine, by its `Host`.
fn refuse_other_pages(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host = headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let foreign = |what: &str, is: &str| {
        let is = &is[..is.floor_char_boundary(100)];
        Err(Problem::new(
            Code::Forbidden,
            format!("{what} `{is}` is not this machine, and this server has no keys"),
        )
        .next_step("call it by its address or as localhost, or make a key first: `pinrail key create`"))
    };
    if let Some(host) = host
        && !is_local_name(host)
    {
        return foreign("host", host);
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let from = origin.split_once("://").map_or(origin, |(_, host)| host);
    if Some(from) == host { Ok(()) } else { foreign("origin", origin) }
}

/// An address, or a name that no name server can lend to a stranger.
fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let reserved = [".localhost", ".internal"].iter().any(|ending| name.ends_with(ending));
    bare.parse::<std::net::IpAddr>().is_ok() || name == "localhost" || reserved
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_read_or_refused() {
        let check = |values: &[&str], expected: Result<Option<&str>, Code>| {
            let pairs: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            let headers = headers(&pairs);
            assert_eq!(bearer(&headers).map_err(|problem| problem.code), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["Bearer abc"], Ok(Some("abc")));
        check(&["bearer  abc"], Ok(Some("abc")));
        check(&["Bearer"], Ok(Some("")));
        check(&["Basic abc"], Err(Code::Unauthenticated));
        check(&["abc"], Err(Code::Unauthenticated));
        check(&["Bearer a", "Bearer b"], Err(Code::Unauthenticated));
    }

    #[test]
    fn without_keys_a_strangers_page_is_refused() {
        let check = |pairs: &[(&'static str, &str)], allowed: bool| {
            let refused = refuse_other_pages(&headers(pairs), &Uri::from_static("/v1/models"));
            assert_eq!(refused.is_ok(), allowed, "{pairs:?}");
        };
        check(&[], true);
        check(&[("host", "127.0.0.1:7070")], true);
        check(&[("host", "[::1]:7070")], true);
        check(&[("host", "localhost:7070")], true);
        check(&[("host", "app.localhost")], true);
        check(&[("host", "host.docker.internal:7070")], true);
        check(&[("host", "rebound.example:7070")], false);
        check(&[("host", "127.0.0.1.example")], false);
        check(&[("host", "localhost:7070"), ("origin", "http://localhost:7070")], true);
        check(&[("host", "localhost:7070"), ("origin", "https://evil.example")], false);
        check(&[("host", "localhost:7070"), ("origin", "null")], false);
    }
}
