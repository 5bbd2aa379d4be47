//! What is sent: one CloudEvent for each entry, the same in every attempt but for its timestamp.

use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_domain::ledger::{Actor, Entry};
use pinrail_domain::time::Timestamp;
use pinrail_domain::webhook::concerns::{Concerns, state_at};
use pinrail_domain::world::World;
use serde_json::{Value, json};

/// A body that makes its event longer than this is left out: receivers refuse long ones, and `GET /api/v1/ledger` has it.
pub const EVENT_BYTES_MAX: usize = 256 << 10;

/// The id of an entry's event: the same in every attempt, to every webhook, after every restart.
pub(super) fn id(seq: LedgerSeq) -> String {
    format!("ledger-{seq}")
}

/// An entry as a CloudEvent in structured mode.
///
/// What it says of a deployment is what was true right after the entry, however late it is sent: so every attempt sends the
/// same. `world` is the world after the entry, or after later ones.
pub(super) fn of_entry(entry: &Entry, concerns: &Concerns, world: &World) -> Vec<u8> {
    let body = envelope(entry, concerns, world, false);
    if body.len() <= EVENT_BYTES_MAX { body } else { envelope(entry, concerns, world, true) }
}

/// An event that says only that somebody wants to see whether events arrive.
pub(super) fn of_test(id: &str, name: &WebhookName, actor: &Actor, at: Timestamp) -> Vec<u8> {
    let data = json!({ "webhook": name, "actor": actor });
    cloud_event(id, "webhook.test", Some(format!("webhooks/{name}")), at, data)
}

fn envelope(entry: &Entry, concerns: &Concerns, world: &World, short: bool) -> Vec<u8> {
    let kind = entry.body.kind();
    let mut data = serde_json::to_value(entry).expect("an entry is plain data");
    if short {
        data["body"] = json!({ "type": kind });
        data["body_left_out"] = json!(true);
    }
    let deployment = concerns.deployment.and_then(|id| world.deployments.get(&id));
    if let Some(deployment) = deployment {
        data["deployment"] = json!({
            "deployment": deployment.id,
            "state": state_at(world, deployment, entry.seq),
            "segment": deployment.segment,
            "ingest": deployment.ingest,
            "agents": deployment.releases.keys().collect::<Vec<_>>(),
        });
    }
    data["agents"] = json!(concerns.agents);
    cloud_event(&id(entry.seq), kind, concerns.subject.clone(), entry.at, data)
}

fn cloud_event(id: &str, kind: &str, subject: Option<String>, at: Timestamp, data: Value) -> Vec<u8> {
    let mut event = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/pinrail",
        "type": format!("pinrail.{kind}"),
        "time": at.rfc3339(),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let Some(subject) = subject {
        event["subject"] = json!(subject);
    }
    event.to_string().into_bytes()
}
