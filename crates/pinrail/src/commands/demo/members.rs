//! Workers of the shop that hold a lease and acknowledge every change, so that a flip can be seen to reach somebody.

use pinrail_api::members::{Acknowledge, Acknowledged, EpochEvent, RegisterMember, Registered};
use pinrail_domain::id::MemberName;
use pinrail_domain::member::MemberKind;

use crate::client::Client;

/// The workers' names.
const NAMES: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
/// The longest lease that there is: longer than the demo, so that only who stays renews it.
const LEASE_MS: u64 = 300_000;

/// The workers.
pub struct Members(Vec<Registered>);

impl Members {
    /// Lets the workers join; each follows the server on a thread of its own, until the server ends.
    pub fn join(client: &Client) -> anyhow::Result<Members> {
        let mut members = Vec::new();
        for name in NAMES {
            let wish = RegisterMember {
                name: MemberName::new(name)?,
                kind: MemberKind::Worker,
                lease_ms: Some(LEASE_MS),
            };
            let me = client.post::<Registered>("/api/v1/members", &wish)?.value;
            members.push(me.clone());
            let client = client.clone();
            std::thread::spawn(move || follow(&client, &me));
        }
        Ok(Members(members))
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Renews the leases: an acknowledgement of any epoch does.
    pub fn renew(&self, client: &Client) -> anyhow::Result<()> {
        for me in &self.0 {
            let ack = Acknowledge { epoch: me.epoch, generation: Some(me.generation) };
            client.post::<Acknowledged>(&format!("/api/v1/members/{}/ack", me.member), &ack)?;
        }
        Ok(())
    }
}

/// Acknowledges each epoch as it comes, until the stream ends.
fn follow(client: &Client, me: &Registered) {
    let Ok(mut events) = client.follow(&me.watch, None) else { return };
    let path = format!("/api/v1/members/{}/ack", me.member);
    while let Ok(Some(event)) = events.next() {
        let Ok(said) = serde_json::from_str::<EpochEvent>(&event.data) else { return };
        let ack = Acknowledge { epoch: said.epoch, generation: Some(me.generation) };
        if client.post::<Acknowledged>(&path, &ack).is_err() {
            return;
        }
    }
}
