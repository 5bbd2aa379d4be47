//! What other replicas write beside the ledger: whoever waits for an approval or looks at members is woken.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::{Control, Inner, tasks};

/// How often whoever waits for something that another replica may do looks again, whatever the store tells.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Control {
    /// Ends when it is time to look again at what another replica may have changed; never, where there are none.
    pub async fn may_have_changed_elsewhere(&self) {
        if self.inner.store.is_shared() {
            tokio::time::sleep(LOOK_EVERY).await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

/// Follows the store's news, where others write to it.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.store.is_shared() {
        tasks::spawn(follow(Arc::downgrade(inner)));
    }
}

async fn follow(control: Weak<Inner>) {
    let Some(mut news) = control.upgrade().map(|inner| inner.store.news()) else { return };
    let mut seen = news.borrow_and_update().rest;
    while news.changed().await.is_ok() {
        let now = news.borrow_and_update().rest;
        if now == seen {
            continue;
        }
        seen = now;
        let Some(inner) = control.upgrade() else { return };
        inner.members.moved();
        inner.approvals.send_modify(|changes| *changes += 1);
    }
}
