//! `GET` and `POST /api/v1/gc`: removing rolled-back data that nobody needs any more. `GET` and `POST /api/v1/gc/journal`: dropping
//! journals that are older than they are kept.

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, LedgerSeq};
use pinrail_domain::journal::collect as journals;
use pinrail_domain::state::Layer;
use pinrail_domain::state::collect::Why;
use pinrail_domain::time::Day;
use serde::{Deserialize, Serialize};

/// A collection to make: of rolled-back data, or of journals (`CollectJournals` in the API's description).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// Keep what was rolled back within this time, or the journals of this time; the server's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_ms: Option<u64>,
    /// Say what would go, and remove nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is removed, what stays, and how far the removal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// The ledger entry; absent where nothing was, or is to be, removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
    pub older_than_ms: u64,
    /// Records to remove in all.
    pub records: u64,
    /// The same by layer.
    pub layers: BTreeMap<Layer, u64>,
    pub collect: Vec<Collected>,
    pub keep: Vec<Kept>,
    /// Views as of some moments before this ledger entry can't be had any more.
    pub floor: LedgerSeq,
    pub removal: Removal,
}

/// A deployment whose records are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    pub deployment: DeploymentId,
    pub records: u64,
}

/// A rolled-back deployment whose records stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub deployment: DeploymentId,
    pub records: u64,
    /// In words.
    pub because: String,
    #[serde(flatten)]
    pub why: Why,
}

/// How far the removal is. It goes on in the background, and after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    pub running: bool,
    /// Since the server started: records to remove, and those that are gone.
    pub records: u64,
    pub removed: u64,
    /// Why it stopped half-way; the next collection goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Which journals are dropped, which older ones stay, and how far the dropping is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCollection {
    /// The ledger entry; absent where nothing was, or is to be, dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
    pub older_than_ms: u64,
    /// Whether the server drops what is older by itself.
    pub by_itself: bool,
    /// Journals of days before this one are old enough.
    pub kept_from: Day,
    /// Runs to drop in all.
    pub runs: u64,
    pub collect: Vec<DayCollected>,
    pub keep: Vec<DayKept>,
    pub dropping: Dropping,
}

/// A day whose journals are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCollected {
    pub day: Day,
    pub runs: u64,
}

/// A day that is old enough and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayKept {
    pub day: Day,
    pub runs: u64,
    /// In words.
    pub because: String,
    #[serde(flatten)]
    pub why: journals::Why,
}

/// How far the dropping is. It goes on in the background; what a restart leaves of it goes with the next collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropping {
    pub running: bool,
    /// Since the server started: days to drop, those that are gone, and the runs that went with them.
    pub days: u64,
    pub done: u64,
    pub runs: u64,
    /// Why it stopped half-way; the next collection goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
