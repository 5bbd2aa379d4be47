//! `/deployments/{id}/verify`: the proof that what is visible is what it must be.

use askama::Template;
use pinrail_api::deployments::proof::{Proof, SpaceProof};
use pinrail_domain::id::DeploymentId;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A proof.
#[derive(Clone, Debug, Serialize)]
pub struct Proven {
    pub deployment: DeploymentId,
    #[serde(flatten)]
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
        format!("Proof of deployment {}", self.deployment)
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
