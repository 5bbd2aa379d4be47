//! What an agent's tier demands of it, as of now.

use pinrail_domain::explain::{self, Demand, Facts};
use pinrail_domain::id::AgentName;

use crate::Control;
use crate::readiness::Surroundings;

impl Control {
    /// What an agent's tier demands of it, and what of that is met; none where there is no such agent.
    #[must_use]
    pub fn explain(&self, agent: &AgentName, around: &Surroundings) -> Option<Vec<Demand>> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let facts = Facts {
            now: self.inner.clock.now(),
            judge: &|model| self.judge(world, model),
            callable: &|_, release| self.callable(world, around, release),
        };
        explain::explain(world, agent, &facts)
    }
}
