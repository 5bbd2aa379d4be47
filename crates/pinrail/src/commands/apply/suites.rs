//! The suites of agents: stored before the agent that names them, and told with the number of their cases.

use std::path::Path;

use pinrail_api::artifacts::Artifact;
use pinrail_domain::gate::{SuiteKind, SuitePin, required};
use pinrail_domain::id::AgentName;
use pinrail_gate::suite::Suite;

use super::{Apply, Step, There};
use crate::files::project::Agent;
use crate::files::{BadFiles, Fault, Project};
use crate::output::clean;

/// Refuses judges that are agents which there won't be.
pub fn check_judges(project: &Project, there: &There) -> Result<(), BadFiles> {
    let mut faults = Vec::new();
    for (name, agent) in &project.agents {
        let judge = agent.spec.gate.as_ref().and_then(|gate| gate.judge.as_ref());
        let Some(judge) = judge else { continue };
        let is_known =
            project.agents.contains_key(judge) || there.agents.iter().any(|there| there.agent == *judge);
        if !is_known {
            let file = Path::new("agents").join(name.as_str()).join("agent.toml");
            let what = format!("gate.judge is `{judge}`, which is no agent here or on the server");
            faults.push(Fault { file, line: None, what });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(BadFiles(faults)) }
}

/// What looks wrong about the agents' suites.
pub fn doubts(project: &Project) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, agent) in &project.agents {
        doubts.extend(agent.suites.warnings.iter().cloned());
        let pins = agent.spec.gate.iter().flat_map(|gate| &gate.suites);
        let there: Vec<SuiteKind> = pins.map(|pin| pin.kind).collect();
        let missing: Vec<&str> = required(&agent.spec)
            .into_iter()
            .filter(|kind| !there.contains(kind))
            .map(SuiteKind::as_str)
            .collect();
        if !missing.is_empty() {
            doubts.push(format!(
                "agent {name}: a promotion needs a passing gate of kind {}, and there is no such suite; put one into \
                 agents/{name}/evals/",
                missing.join(" and of kind ")
            ));
        }
    }
    doubts
}

impl Apply<'_> {
    /// Stores an agent's suites that the server's agent doesn't name yet.
    pub(super) fn suites(&mut self, name: &AgentName, agent: &Agent) -> anyhow::Result<()> {
        let before = self.there.agents.iter().find(|there| there.agent == *name);
        let before: Vec<SuitePin> =
            before.and_then(|there| there.spec.gate.clone()).map(|gate| gate.suites).unwrap_or_default();
        let pins = agent.spec.gate.as_ref().map(|gate| gate.suites.clone()).unwrap_or_default();
        for pin in &pins {
            let was = before.iter().find(|was| was.name == pin.name);
            let change = super::change(was.map(|was| was.digest == pin.digest && was.kind == pin.kind));
            let file = agent.suites.read.get(&pin.name);
            if let Some(read) = file.filter(|_| !self.args.dry_run)
                && !before.iter().any(|was| was.digest == pin.digest)
            {
                let stored =
                    self.context.client.post_bytes::<Artifact>("/api/v1/artifacts", &read.bytes)?.value;
                anyhow::ensure!(
                    stored.digest == pin.digest,
                    "the server stored suite {} as {}, but its digest is {}",
                    pin.name,
                    stored.digest,
                    pin.digest
                );
            }
            let cases = file.map(|read| read.suite.cases.len());
            let cases_before = was.filter(|_| change == "updated").and_then(|was| self.cases_of(was));
            self.note_suite(name, &pin.name, change, (cases, cases_before))?;
        }
        for was in before.iter().filter(|was| !pins.iter().any(|pin| pin.name == was.name)) {
            self.note_suite(name, &was.name, "removed", (None, None))?;
        }
        Ok(())
    }

    /// How many cases a suite on the server has; none for an imported one, which is no artifact.
    fn cases_of(&self, pin: &SuitePin) -> Option<usize> {
        let path = format!("/api/v1/artifacts/{}", pin.digest);
        self.context.client.get::<Suite>(&path).ok().map(|reply| reply.value.cases.len())
    }

    fn note_suite(
        &mut self,
        agent: &AgentName,
        suite: &str,
        change: &str,
        (cases, cases_before): (Option<usize>, Option<usize>),
    ) -> anyhow::Result<()> {
        let name = format!("{agent}/{suite}");
        if self.shows && !self.context.out.is_json() {
            let told = match (cases, cases_before) {
                (Some(cases), Some(before)) => format!(": {} (was {before})", counted(cases)),
                (Some(cases), None) => format!(": {}", counted(cases)),
                (None, _) => String::new(),
            };
            self.context.out.data(&clean(&format!("{change:9}  {:8}  {name}{told}", "suite")))?;
        }
        self.steps.push(Step { kind: "suite", name, change: change.to_owned(), cases, cases_before });
        Ok(())
    }
}

fn counted(cases: usize) -> String {
    if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") }
}
