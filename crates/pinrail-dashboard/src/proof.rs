//! `/deployments/{id}/verify`: the proof that what is visible is what it must be.

use askama::Template;
use pinrail_api::deployments::proof::{Proof, SpaceProof};
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A proof.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Proven {
    pub proof: Proof,
}

#[derive(Template)]
#[template(path = "proof.html")]
struct Main<'a> {
    it: &'a Proven,
}

/// Spaces that are listed; the page's JSON has more.
const SPACES_MAX: usize = 100;

impl Page for Proven {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("Proof of deployment {}", self.proof.deployment)
    }

    fn main(&self, _: &Shell) -> Html {
        ui::written(&Main { it: self })
    }
}

impl Main<'_> {
    fn count(&self, n: &u64, one: &str, many: &str) -> String {
        ui::count(*n, one, many)
    }

    fn manifest(&self) -> Html {
        ui::id(self.it.proof.manifest.short(), self.it.proof.manifest)
    }

    fn spaces(&self) -> &[SpaceProof] {
        &self.it.proof.spaces[..self.it.proof.spaces.len().min(SPACES_MAX)]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn its_twin_is_the_proof_itself() {
        let said = json!({
            "deployment": 4, "manifest": format!("sha256:{}", "0".repeat(64)), "at": { "state": 9, "ledger": 3 },
            "holds": true, "spaces_checked": 1, "records_checked": 9, "erased": 0, "findings": 0
        });
        let page = Proven { proof: serde_json::from_value(said).unwrap() };
        let twin = serde_json::to_string(&page).unwrap();
        assert_eq!(twin.matches("\"deployment\"").count(), 1, "{twin}");
        assert_eq!(twin, serde_json::to_string(&page.proof).unwrap());
        assert!(page.main(&Shell::of("/deployments/4/verify")).as_str().contains("/deployments/4\""));
    }
}
