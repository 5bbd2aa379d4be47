//! Which releases the files mean where they name a fallback of the dial by its first digits.

use std::path::Path;

use pinrail_api::problem::Code;
use pinrail_api::releases::Release;
use pinrail_domain::id::{AgentName, ReleaseId};

use crate::cli::Context;
use crate::client::ClientError;
use crate::files::dial::Named;
use crate::files::{BadFiles, Fault, Project};

/// Puts the releases that are meant into the agents' settings; what names none, or several, is a fault of the file.
pub fn resolve(context: &Context, project: &mut Project) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for (name, agent) in &mut project.agents {
        let Some(dial) = agent.spec.dial.as_deref_mut() else { continue };
        for named in &agent.fallbacks {
            match meant(context, name, named)? {
                Ok(release) => match &named.segment {
                    None => dial.fallback = Some(release),
                    Some(segment) => {
                        dial.segments.entry(segment.clone()).or_default().fallback = Some(release);
                    }
                },
                Err(what) => {
                    let table = named.segment.as_ref().map(|segment| format!("segments.{segment}."));
                    let what = format!("dial.{}fallback {what}", table.unwrap_or_default());
                    let file = Path::new("agents").join(name.as_str()).join("agent.toml");
                    faults.push(Fault { file, line: named.line, what });
                }
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(BadFiles(faults).into()) }
}

/// The release of the agent that digits mean, or what is wrong with them.
fn meant(
    context: &Context,
    agent: &AgentName,
    named: &Named,
) -> Result<Result<ReleaseId, String>, ClientError> {
    let digits = &named.digits;
    match context.client.get::<Release>(&format!("/api/v1/releases/{digits}")) {
        Ok(reply) if reply.value.agents.contains(agent) => Ok(Ok(reply.value.release)),
        Ok(reply) => {
            let short = reply.value.short;
            Ok(Err(format!("names release {short}, which is none of agent `{agent}`")))
        }
        Err(ClientError::Refused(problem)) if problem.code == Code::NotFound => {
            let list = format!("`pinrail release list --agent {agent}`");
            Ok(Err(format!(
                "names {digits}, and the server has no release that begins so: {list} shows them"
            )))
        }
        Err(ClientError::Refused(problem)) if problem.code == Code::Ambiguous => {
            Ok(Err(format!("names {digits}, and several releases begin so: give more digits")))
        }
        Err(other) => Err(other),
    }
}
