//! `GET /api/v1/epochs/{epoch}`: who acknowledged it, and how fast.

use pinrail_api::members::{Answer as Told, EpochReport, MemberAck, Took};
use pinrail_control::members::{self, Answer as Known};
use pinrail_domain::id::Epoch;

use crate::call::{Call, bad_name};
use crate::problem::{self, not_found};
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let text = call.text("epoch");
    let epoch =
        text.parse().map(Epoch).map_err(|_| bad_name("epoch in the path: not a number".to_owned()))?;
    let report = call.control().members().report(epoch).await.map_err(|error| problem::store(&error))?;
    let report = report.ok_or_else(|| {
        let kept = members::EPOCHS_KEPT;
        not_found(
            format!("epoch {epoch} that is kept here"),
            "the newest is in `x-pinrail-epoch`, and the ledger keeps every change: `pinrail ledger show` (GET \
             /api/v1/ledger)",
        )
        .fact("kept", kept)
    })?;
    reply::json(&shown(report))
}

/// A report in words of the API.
pub fn shown(report: members::EpochReport) -> EpochReport {
    let (acknowledged, settled) = (report.acknowledged() as u64, report.is_settled());
    let took = report.took.map(|members::Took { p50_us, p99_us, max_us }| Took { p50_us, p99_us, max_us });
    EpochReport {
        epoch: report.change.epoch,
        change: report.change,
        flipped_at: report.flipped_at,
        expected: report.members.len() as u64,
        acknowledged,
        settled,
        took,
        members: report.members.into_iter().map(member).collect(),
    }
}

fn member(ack: members::MemberAck) -> MemberAck {
    let members::MemberAck { member, name, generation, answer } = ack;
    let answer = match answer {
        Known::Acknowledged { took_us } => Told::Acknowledged { took_us },
        Known::Missing { lease_left_ms } => Told::Missing { lease_left_ms },
        Known::Fenced => Told::Fenced,
        Known::Left => Told::Left,
        Known::Replaced => Told::Replaced,
    };
    MemberAck { member, name, generation, answer }
}
