//! What a verdict rests on: its report in several forms, its statement, and evals that other tools ran.
//!
//! The ledger names the statement, the statement the report: what is shown is what was judged by.

use std::sync::Arc;

use pinrail_api::problem::Problem;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::Judged;
use pinrail_domain::id::{AgentName, GateId};
use pinrail_domain::world::World;
use pinrail_gate::statement::{About, Envelope, Numbers};
use pinrail_gate::verdict::Report;
use pinrail_store::StoreError;

use crate::call::Call;
use crate::problem;

pub mod import;
pub mod report;
pub mod statement;

#[cfg(test)]
mod tests;

/// A verdict with its statement.
pub struct Sealed {
    agent: AgentName,
    pub judged: Arc<Judged>,
    envelope: Envelope,
    /// As it is stored.
    bytes: Vec<u8>,
    numbers: Numbers,
}

/// The verdict of the gate that the path names.
pub async fn sealed(call: &Call) -> Result<Sealed, Problem> {
    let gate: GateId = call.param("gate")?;
    let Some((agent, judged)) = found(&call.control().snapshot().world, |judged| judged.gate == gate) else {
        return Err(problem::not_found(
            format!("verdict of {gate}"),
            "see whether it has ended: `pinrail gate show GATE` (GET /api/v1/gates/GATE)",
        ));
    };
    let digest = judged.judgement.statement;
    let bytes = artifact(call, digest).await?;
    let damaged = |why: String| problem::store(&StoreError::Damaged(format!("statement {digest}: {why}")));
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    // Whoever signed it: it is the ledger that names it.
    let statement = envelope.unverified().map_err(|error| damaged(problem::chain(&error)))?;
    let numbers = statement.predicate.pinrail.ok_or_else(|| damaged("it has no numbers".to_owned()))?;
    Ok(Sealed { agent, judged, envelope, bytes, numbers })
}

/// A verdict in the ledger, and whose it is.
pub fn found(world: &World, is_it: impl Fn(&Judged) -> bool) -> Option<(AgentName, Arc<Judged>)> {
    for (agent, all) in world.gates.iter() {
        if let Some(judged) = all.iter().find(|judged| is_it(judged)) {
            return Some((agent.clone(), Arc::clone(judged)));
        }
    }
    None
}

impl Sealed {
    /// The whole report, and its bytes.
    pub async fn report(&self, call: &Call) -> Result<(Report, Vec<u8>), Problem> {
        let digest = self.numbers.report;
        let bytes = artifact(call, digest).await?;
        let report = serde_json::from_slice(&bytes)
            .map_err(|error| problem::store(&StoreError::Damaged(format!("report {digest}: {error}"))))?;
        Ok((report, bytes))
    }

    fn about(&self) -> About {
        About {
            agent: self.agent.clone(),
            gate: self.judged.gate,
            at: self.judged.at,
            source: self.judged.judgement.source,
            judge: self.numbers.judge,
            url: None,
        }
    }

    /// The id of the key that signed it.
    pub fn signed_by(&self) -> Option<&str> {
        let signature = self.envelope.signatures.first()?;
        Some(signature.keyid.as_deref().unwrap_or("a key without an id"))
    }
}

/// An artifact's bytes; what a ledger or a statement names is there.
async fn artifact(call: &Call, digest: Digest) -> Result<Vec<u8>, Problem> {
    let bytes = call.control().artifact_get(digest).await.map_err(|error| problem::store(&error))?;
    bytes.ok_or_else(|| {
        problem::not_found(format!("artifact {digest}"), "store it: POST /api/v1/artifacts with its bytes")
    })
}
