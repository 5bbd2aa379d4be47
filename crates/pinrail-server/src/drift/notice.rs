//! Answers that say that another model gave them, on their way from calls to findings.
//!
//! Calls never wait (I13): what finds no room is dropped, and the next such answer says the same. The same is looked at once an
//! hour, so a finding that was cleared comes back while its cause lasts, and a million answers make one.

use std::collections::BTreeMap;

use pinrail_control::Control;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::{ProviderName, RunId};
use pinrail_domain::journal::Event;
use pinrail_domain::key::Tenants;
use pinrail_domain::time::{Clock, Timestamp};
use tokio::sync::mpsc;

/// Notices on their way: one would be enough.
const WAITING_MAX: usize = 64;
/// Between two looks at the same.
const AGAIN_MS: u64 = 3_600_000;
/// Different ones that are remembered; when there are more, all are looked at again.
const KNOWN_MAX: usize = 1_000;

/// Takes notices. Cheap to clone.
#[derive(Clone)]
pub struct Notices(mpsc::Sender<Notice>);

/// A run whose answer came from another model than its release pins.
pub(super) struct Notice {
    run: RunId,
    /// Who was asked, where it isn't the stamp's provider.
    provider: Option<ProviderName>,
    pinned: String,
    served: String,
}

/// What was looked at, and when.
#[derive(Default)]
pub(super) struct Known(BTreeMap<(String, String), Timestamp>);

impl Notices {
    pub(super) fn new() -> (Notices, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Notices(sender), receiver)
    }

    /// Looks through events that a call journals. Never waits.
    pub fn of(&self, run: RunId, events: &[(Timestamp, Event)]) {
        for (_, event) in events {
            if let Event::Drift { call: _, pinned, served, provider } = event {
                let (pinned, served, provider) = (pinned.clone(), served.clone(), provider.clone());
                let notice = Notice { run, provider, pinned, served };
                // There is no room: the next answer says the same.
                let _ = self.0.try_send(notice);
            }
        }
    }
}

impl Known {
    /// Opens a finding for what is new.
    pub(super) async fn take(&mut self, control: &Control, clock: &dyn Clock, notice: Notice) {
        let Notice { run, provider, pinned, served } = notice;
        let now = clock.now();
        let key = (pinned, served);
        if self.0.get(&key).is_some_and(|last| now.ms_since(*last) < AGAIN_MS) {
            return;
        }
        let stamp = match control.runs().stamp(run, &Tenants::All).await {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%run, error = %crate::problem::chain(&error), "a model that drifted can't be looked up");
                return;
            }
        };
        if self.0.len() >= KNOWN_MAX {
            self.0.clear();
        }
        let (pinned, served) = key.clone();
        self.0.insert(key, now);
        let subject =
            Subject::Model { provider: provider.unwrap_or_else(|| stamp.provider.clone()), snapshot: pinned };
        let what = format!("{subject} says that `{served}` answers");
        let found = control.find_drift(&subject, &Sign::Served { served }, &what, None).await;
        match found {
            Ok(found) => {
                if let Some(finding) = found.value {
                    tracing::warn!(%finding, what, "drift");
                }
            }
            Err(error) => {
                tracing::warn!(what, error = %crate::problem::chain(&error), "drift that can't be kept");
            }
        }
    }
}
