//! `GET /api/v1/deployments/{id}/manifest`, `GET …/{id}/verify`.

use std::collections::BTreeMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::manifest::{Account, Line, Served, Tally};
use pinrail_domain::state::{Moment, Space, StateKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// What was there when a deployment was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub deployment: DeploymentId,
    /// The digest of the manifest, an artifact.
    pub digest: Digest,
    pub at: Moment,
    pub pointers: Vec<Served>,
    pub spaces: Vec<Line>,
}

/// Whether what is visible is what the manifest says plus what others did since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub deployment: DeploymentId,
    /// The manifest's digest.
    pub manifest: Digest,
    /// As of when the manifest is.
    pub at: Moment,
    pub holds: bool,
    pub spaces_checked: u64,
    pub records_checked: u64,
    /// Of these, whose content was erased by right: only places and digests could be checked.
    pub erased: u64,
    /// Questions to indexes of vectors that got the answer of then again, byte for byte.
    #[serde(default)]
    pub probes: u64,
    pub findings: u64,
    /// Places in the sequence where no record is, although nothing was removed there: the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<StateSeq>,
    #[serde(default)]
    pub gone_count: u64,
    /// Space by space: those at fault first, then those that changed; at most 1000. `format=jsonl` gives all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<SpaceProof>,
}

/// One space's part of the proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpaceProof {
    #[serde(flatten)]
    pub space: Space,
    pub holds: bool,
    /// As the manifest has it; absent, as the next four, where the space couldn't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Tally>,
    /// As of then, worked out today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Tally>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Tally>,
    /// Records visible then and now.
    #[serde(default)]
    pub unchanged: u64,
    /// What each deployment changed since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "by_deployment")]
    pub accounts: BTreeMap<DeploymentId, Account>,
    pub records: u64,
    #[serde(default)]
    pub erased: u64,
    #[serde(default)]
    pub probes: u64,
    /// What is wrong, record by record: the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub findings_count: u64,
}

/// Something that isn't as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<StateSeq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StateKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// `corrupt`, `unreadable`, `missing`, `leaked`, `hidden_by`, `shown`, `appeared`, `vanished`, `then_differs`,
    /// `answers_differ` or `unreadable_space`.
    pub what: String,
    pub detail: String,
}

/// A line of `format=jsonl`: first how many spaces there are, then one line per space, then the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ProofLine {
    Begin { spaces: u64 },
    Space(SpaceProof),
    End(Proof),
}

/// Reads keys that are numbers in quotes: inside a tagged [`ProofLine`], serde takes keys for nothing but text.
fn by_deployment<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<DeploymentId, Account>, D::Error> {
    let named = BTreeMap::<String, Account>::deserialize(from)?;
    named
        .into_iter()
        .map(|(id, account)| Ok((DeploymentId(id.parse().map_err(D::Error::custom)?), account)))
        .collect()
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::TenantId;
    use pinrail_domain::state::Layer;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let accounts = json!({"added": 1, "superseded": 0, "deleted": 0, "restored": 0, "retracted": 2, "taken_along": 0});
        let line = json!({
            "line": "space", "tenant": "default", "layer": "memory", "name": "support/s-17", "holds": true,
            "unchanged": 3, "accounts": {"0": accounts, "12": accounts}, "records": 6
        });
        let ProofLine::Space(read) = serde_json::from_value(line.clone()).unwrap() else { panic!("{line}") };
        assert_eq!(read.space.tenant, TenantId::new("default").unwrap());
        assert_eq!(read.space.layer, Layer::Memory);
        assert_eq!(read.accounts.keys().copied().collect::<Vec<_>>(), [DeploymentId(0), DeploymentId(12)]);
        let text = serde_json::to_string(&ProofLine::Space(read.clone())).unwrap();
        assert_eq!(serde_json::from_str::<ProofLine>(&text).unwrap(), ProofLine::Space(read));
    }
}
