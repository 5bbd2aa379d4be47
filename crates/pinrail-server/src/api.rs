//! The endpoints of the control API, one file each, by resource.
//!
//! An endpoint reads its request, asks the control plane, and writes what came of it. What the control plane refused is
//! turned into a problem in the same file, or in the resource's when several endpoints share it.

pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod catalogue;
pub mod context;
pub mod deployments;
pub mod dial;
pub mod drift;
pub mod drills;
pub mod epochs;
pub mod erasures;
pub mod evidence;
pub mod gates;
pub mod gc;
pub mod health;
pub mod holds;
pub mod keys;
pub mod ledger;
pub mod mcp;
pub mod members;
pub mod memory;
pub mod metrics;
pub mod pointers;
pub mod providers;
pub mod readiness;
pub mod releases;
pub mod replicas;
pub mod runs;
pub mod state;
pub mod status;
pub mod traffic;
pub mod vectors;
pub mod warm;
pub mod watch;
pub mod webhooks;
