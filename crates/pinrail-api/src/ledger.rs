//! `GET /api/v1/ledger?after=&limit=`, `GET /api/v1/ledger/verify`.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use serde::{Deserialize, Serialize};

/// The result of verifying the stored chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub whole: bool,
    /// The last entry of the whole part.
    pub entries: LedgerSeq,
    /// Its hash: keep it elsewhere, and truncation can't hide either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
    /// The first entry that is wrong, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<BrokenAt>,
}

/// The first entry that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenAt {
    pub seq: LedgerSeq,
    pub what: String,
}
