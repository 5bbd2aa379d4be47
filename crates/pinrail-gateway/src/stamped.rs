//! The headers that say which run, release, deployment and epoch an answer belongs to.

use std::fmt::{Display, Write as _};

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use pinrail_domain::dial::Position;

use crate::port::Begun;

pub const RUN: HeaderName = HeaderName::from_static("x-pinrail-run");
pub const RELEASE: HeaderName = HeaderName::from_static("x-pinrail-release");
pub const DEPLOYMENT: HeaderName = HeaderName::from_static("x-pinrail-deployment");
pub const EPOCH: HeaderName = HeaderName::from_static("x-pinrail-epoch");
/// What the request lost on the way to the provider's dialect, by the release's leave.
pub const DROPPED: HeaderName = HeaderName::from_static("x-pinrail-dropped");
/// Where the dial stands, unless everything is on.
pub const DIAL: HeaderName = HeaderName::from_static("x-pinrail-dial");

/// Puts the run's headers on an answer.
pub fn put(headers: &mut HeaderMap, begun: &Begun) {
    headers.insert(RUN, value(&begun.stamp.run));
    put_release(headers, begun);
}

/// Puts on an answer what its request lost on the way to the provider's dialect; nothing where it lost nothing.
pub fn put_dropped(headers: &mut HeaderMap, dropped: &[&'static str]) {
    if !dropped.is_empty() {
        headers.insert(DROPPED, value(&dropped.join(", ")));
    }
}

/// Puts on an answer which release it was given by, where there is no run.
pub fn put_release(headers: &mut HeaderMap, begun: &Begun) {
    headers.insert(RELEASE, value(&begun.stamp.release));
    headers.insert(DEPLOYMENT, HeaderValue::from(begun.stamp.deployment.0));
    headers.insert(EPOCH, HeaderValue::from(begun.epoch.0));
    let position = begun.dial.as_ref().map(|standing| standing.dialled.position);
    if let Some(position) = position.filter(|position| *position != Position::Full) {
        headers.insert(DIAL, HeaderValue::from_static(position.word()));
    }
}

/// A header value of something that is written in visible ASCII.
pub fn value(of: &impl Display) -> HeaderValue {
    let mut text = BytesMut::with_capacity(80);
    write!(text, "{of}").expect("a buffer in memory takes all");
    HeaderValue::from_maybe_shared(text.freeze()).expect("ids are visible ASCII")
}
