//! Which addresses events may be sent to: `https://`, or `http://` on this machine.

use std::net::IpAddr;

/// Whether a URL is `https://HOST…`, or `http://` to a loopback address, without a user name or a fragment: what is
/// sent can't be read on its way, and no secret is in the address (I15).
#[must_use]
pub fn is_safe(url: &str) -> bool {
    match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => is_whole(rest),
        (None, Some(rest)) => is_whole(rest) && is_here(rest),
        (None, None) => false,
    }
}

fn is_whole(rest: &str) -> bool {
    !rest.is_empty()
        && !rest.starts_with(['/', ':', '?'])
        && !rest.contains(['@', '#'])
        && rest.bytes().all(|b| b.is_ascii_graphic())
}

fn is_here(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.strip_prefix('[').map_or_else(
        || authority.split(':').next().unwrap_or_default(),
        |bracketed| bracketed.split(']').next().unwrap_or_default(),
    );
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
