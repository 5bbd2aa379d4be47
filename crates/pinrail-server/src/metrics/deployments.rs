//! Deployments under way, and rollbacks.

use pinrail_domain::deployment::Status;
use pinrail_telemetry::metrics::{Page, table};

use super::{flag, number, size};
use crate::state::State;

/// Deployments under way that are shown one by one, the newest: an installation has a few.
const SHOWN_MAX: usize = 100;
/// Pointers with a candidate that are shown one by one.
const WEIGHTS_MAX: usize = 500;
const WHOLE_BPS: f64 = 10_000.0;

/// Puts them on the page.
pub fn gather(page: &mut Page, state: &State) {
    let snapshot = state.control.snapshot();
    let world = &snapshot.world;
    let (mut open, mut rolled_back) = (0, 0);
    for deployment in world.deployments.values().rev() {
        match &deployment.status {
            Status::Candidate { .. } => open += 1,
            Status::RolledBack { .. } => {
                rolled_back += 1;
                continue;
            }
            Status::Promoted { .. } => continue,
        }
        let Some(rollout) = deployment.rollout.as_ref().filter(|_| open <= SHOWN_MAX) else { continue };
        let id = deployment.id.0.to_string();
        page.gauge(&table::DEPLOYMENT_STEP, &[&id], size(rollout.step));
        page.gauge(&table::DEPLOYMENT_STEPS, &[&id], size(rollout.plan.steps.len()));
        page.gauge(&table::DEPLOYMENT_FROZEN, &[&id], flag(rollout.stopped.is_some()));
    }
    page.gauge(&table::DEPLOYMENTS_OPEN, &[], size(open));
    page.count(&table::ROLLBACKS, &[], rolled_back);
    page.durations(&table::ROLLBACK_FLIP, &[], &state.control.flips_us());
    let candidates =
        world.pointers.iter().filter_map(|(key, pointer)| Some((key, pointer, pointer.candidate?)));
    for ((agent, segment), pointer, candidate) in candidates.take(WEIGHTS_MAX) {
        let labels = [agent.as_str(), segment.as_str(), &candidate.0.to_string()];
        let weight = number(u64::from(pointer.weight.bps())) / WHOLE_BPS;
        page.gauge(&table::DEPLOYMENT_WEIGHT, &labels, weight);
    }
    let held = world.pointers.values().filter(|pointer| pointer.hold.is_some()).count();
    page.gauge(&table::HOLDS, &[], size(held));
}
