//! `POST /api/v1/gates`: has a candidate judged, or says what that would take.

use pinrail_api::gates::{StartGate, StartedGate, StartedGates};
use pinrail_api::problem::{Code, Problem};

use super::{estimated, start_refused};
use crate::api::releases::named;
use crate::call::Call;
use crate::gates::{Of, Started, Wish};
use crate::reply::{self, Answer};

pub async fn start(call: Call) -> Answer {
    let asked: StartGate = call.json()?;
    let of = target(&call, &asked)?;
    let StartGate { suites, repeats, budget, concurrency, reuse, dry_run, reason, .. } = asked;
    let wish = Wish { of, suites, repeats, budget, concurrency, reuse };
    let by = call.by(reason)?;
    let (gates, replayed) = call.state.gates.start(&by, &wish, dry_run).await.map_err(start_refused)?;
    reply::changed(replayed, &StartedGates { gates: gates.into_iter().map(shown).collect() })
}

/// Who is to be judged: a deployment's releases, or an agent's release.
fn target(call: &Call, asked: &StartGate) -> Result<Of, Problem> {
    let StartGate { deployment, agent, candidate, incumbent, .. } = asked;
    let bad = |detail: &str| {
        Err(Problem::new(Code::BadRequest, detail).next_step(
            "name a deployment, `pinrail gate run 3` ({\"deployment\": 3}), or an agent with its candidate, `pinrail gate \
             run support --candidate R` ({\"agent\", \"candidate\", \"incumbent\"})",
        ))
    };
    match (deployment, agent, candidate) {
        (Some(id), None, None) if incumbent.is_none() => Ok(Of::Deployment(*id)),
        (Some(_), _, _) => bad("a deployment says itself what is compared: nothing else is named with it"),
        (None, Some(agent), Some(candidate)) => {
            let snapshot = call.control().snapshot();
            if !snapshot.world.agents.contains_key(agent) {
                return Err(crate::api::agents::no_agent(agent));
            }
            let release = |text: &String| named(&snapshot.world, text, Some(agent));
            let candidate = release(candidate)?;
            let incumbent = incumbent.as_ref().map(release).transpose()?;
            Ok(Of::Release { agent: agent.clone(), candidate, incumbent })
        }
        (None, _, _) => bad("nothing says what is to be judged"),
    }
}

fn shown(started: Started) -> StartedGate {
    let Started { gate, agent, candidate, incumbent, settings, estimate } = started;
    StartedGate {
        gate,
        agent,
        candidate,
        incumbent,
        suites: settings.suites.into_iter().map(|suite| suite.name).collect(),
        repeats: settings.repeats,
        estimate: estimated(estimate),
    }
}
