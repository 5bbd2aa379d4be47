//! `POST /api/v1/artifacts` (the body is the artifact), `GET /api/v1/artifacts/{digest}`.

use pinrail_domain::digest::Digest;
use serde::{Deserialize, Serialize};

/// A stored artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub digest: Digest,
    pub bytes: u64,
}
