//! Sessions: who signed in with which key, in a cookie that only this server can write.
//!
//! The cookie holds the key's id, until when it counts, and a number that is its own, under a keyed digest; no key and nothing
//! that a key could be guessed from. Nothing is stored: a session ends when its time is over, when its key is revoked, or when
//! the server has another secret. The secret is drawn at the start, so that a restart ends all sessions, unless the operator
//! gives one, as replicas that answer for each other need.

use http::HeaderValue;
use http::header::{COOKIE, HOST, HeaderMap};
use pinrail_domain::key::KeyId;
use pinrail_domain::time::{Entropy, Timestamp};
use ring::hmac;

/// Signs and reads sessions.
pub struct Sessions {
    secret: hmac::Key,
}

/// A session that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub key: KeyId,
    /// Until when.
    pub ends: Timestamp,
    nonce: String,
}

/// A working day; whoever has a page open at its end signs in again.
const SESSION_MS: u64 = 12 * 3_600_000;
const COOKIE_NAME: &str = "pinrail_session";

impl Sessions {
    /// With the operator's secret, else one that is drawn now.
    pub fn new(given: Option<&str>, entropy: &dyn Entropy) -> Sessions {
        let mut drawn = [0; 32];
        entropy.fill(&mut drawn);
        let bytes = given.map_or(&drawn[..], str::as_bytes);
        Sessions { secret: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// The `Set-Cookie` of a new session.
    pub fn begin(
        &self,
        key: &KeyId,
        headers: &HeaderMap,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> HeaderValue {
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let ends = now.0 + SESSION_MS;
        let said = format!("{key}.{ends}.{}", hex(&nonce));
        let value = format!("{said}.{}", self.mac("session", &said));
        set(&value, SESSION_MS / 1_000, headers)
    }

    /// The `Set-Cookie` that ends a session.
    pub fn end(headers: &HeaderMap) -> HeaderValue {
        set("", 0, headers)
    }

    /// The session that a request shows.
    pub fn of(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let value = cookie(headers, COOKIE_NAME)?;
        let (said, mac) = value.rsplit_once('.')?;
        if !same(self.mac("session", said).as_bytes(), mac.as_bytes()) {
            return None;
        }
        let mut parts = said.split('.');
        let (key, ends, nonce) = (parts.next()?, parts.next()?, parts.next()?);
        let ends = Timestamp(ends.parse().ok()?);
        (ends > now).then_some(Session { key: key.parse().ok()?, ends, nonce: nonce.to_owned() })
    }

    /// What a form must send along: bound to the session, or, where there is none, to this server's secret, which no other
    /// site's page can read.
    pub fn csrf(&self, headers: &HeaderMap, now: Timestamp) -> String {
        let session = self.of(headers, now);
        self.mac("csrf", session.as_ref().map_or("nobody", |session| &session.nonce))
    }

    fn mac(&self, purpose: &str, said: &str) -> String {
        hex(hmac::sign(&self.secret, format!("{purpose}\n{said}").as_bytes()).as_ref())
    }
}

/// Whether a browser keeps a secure cookie from this address, and needs no other kind: everywhere but on this machine.
pub fn needs_https(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return true };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback());
    !is_loopback
}

/// A cookie of the request.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Compares in a time that says nothing about where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn set(value: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let secure = if needs_https(headers) { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("a cookie is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counting;

    fn shown(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&format!("other=1; {pair}")).unwrap());
        headers
    }

    #[test]
    fn a_session_counts_until_it_ends_and_nobody_else_can_write_one() {
        let (entropy, now) = (Counting::new(), Timestamp(1_000));
        let key: KeyId = "0123456789ab".parse().unwrap();
        let sessions = Sessions::new(None, &entropy);
        let cookie = sessions.begin(&key, &HeaderMap::new(), now, &entropy);
        let headers = shown(&cookie);
        assert_eq!(sessions.of(&headers, now).unwrap().key, key);
        assert_eq!(sessions.of(&headers, Timestamp(now.0 + SESSION_MS)), None);
        assert_eq!(Sessions::new(None, &entropy).of(&headers, now), None);
        let (given, same) = (Sessions::new(Some("s"), &entropy), Sessions::new(Some("s"), &entropy));
        let headers = shown(&given.begin(&key, &HeaderMap::new(), now, &entropy));
        assert!(same.of(&headers, now).is_some());
        let forged = headers[COOKIE].to_str().unwrap().replace("0123456789ab", "0123456789ac");
        let mut other = HeaderMap::new();
        other.insert(COOKIE, HeaderValue::from_str(&forged).unwrap());
        assert_eq!(same.of(&other, now), None);
        assert_ne!(same.csrf(&headers, now), same.csrf(&HeaderMap::new(), now));
    }

    #[test]
    fn the_cookie_is_secure_wherever_it_leaves_the_machine() {
        let check = |host: &str, secure: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            let cookie = Sessions::end(&headers);
            let cookie = cookie.to_str().unwrap();
            assert_eq!(cookie.contains("; Secure"), secure, "{host}");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        };
        check("localhost:7070", false);
        check("127.0.0.1:7070", false);
        check("[::1]:7070", false);
        check("pinrail.example", true);
        check("10.0.0.7:7070", true);
        check("localhost.example", true);
    }
}
