//! Connections that are kept from call to call, and meet their end at the next one.
//!
//! A provider closes what lies idle (public ones after a minute, servers of local models after 5 s), and a request may
//! be on its way just then. Nobody has failed: the request is sent again at once over another connection, which is no
//! attempt, needs no budget and says nothing about the provider. Only connections that carried an answer before are
//! taken to have ended so, and only [`TIMES_MAX`] times for one attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Extensions;
use hyper_util::client::legacy;

/// Ended connections that one attempt may meet. The pool drops those that it hears of, so more are no coincidence.
pub const TIMES_MAX: u32 = 2;

/// Whether an answer has come over a connection.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<AtomicBool>);

impl Kept {
    /// Notes that an answer came over the connection that these extensions are of.
    pub fn note(extensions: &Extensions) {
        if let Some(Kept(answered)) = extensions.get() {
            answered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request failed on a connection that had carried an answer before.
    pub fn ended(error: &legacy::Error) -> bool {
        let Some(connection) = error.connect_info() else { return false };
        let mut extensions = Extensions::new();
        connection.get_extras(&mut extensions);
        extensions.get().is_some_and(|Kept(answered)| answered.load(Ordering::Relaxed))
    }
}
