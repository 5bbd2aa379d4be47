//! A rollout: how a candidate is proven, step by step, and when it goes back by itself.
//!
//! [`spec`] is what an agent's settings say, [`plan`] what that comes to for one deployment, [`progress`] where a rollout
//! stands (a fold over ledger entries), [`facts`] what was observed, and [`outlook`] the decision: what happens next, or
//! what is missing. [`acts`] are the ledger entries that follow. [`outline`] says beforehand what a plan will take, [`told`] tells
//! afterwards what happened, [`history`] keeps how the numbers moved, and [`divergence`] says how far two answers differ.
//!
//! A rollout widens only on evidence: at every canary each guardrail must be proven *not worse*, by the margin times the
//! step's slack. One guardrail that is proven *worse* takes the candidate back at once, at any step, also while people
//! stopped the rollout. Neither: it waits, and at the step's deadline it stops and asks. No traffic is no success.

pub mod acts;
pub mod divergence;
pub mod facts;
pub mod history;
pub mod observed;
pub mod outline;
pub mod outlook;
pub mod plan;
pub mod progress;
pub mod quantity;
pub mod spec;
pub mod told;

pub use facts::{Evidence, Facts, Finding};
pub use history::History;
pub use outline::Outline;
pub use outlook::{Action, Outlook, look};
pub use plan::{Guardrail, Plan, Step};
pub use progress::{Rollout, Stop, Weights};
pub use spec::RolloutSpec;
