//! `pinrail doctor`: looks for what will go wrong, and says what to do about it.
//!
//! It changes nothing, except that it writes one file of its own into the data folder and removes it again.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use crate::cli::Context;
use crate::files::project::DATA_FOLDER;
use crate::files::{BadFiles, Project};

mod disk;
mod providers;
mod server;
mod webhooks;

/// Check configuration, disk, clock, server, providers, keys and webhooks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail doctor
  pinrail doctor --dir /srv/pinrail --json

Exit code 4 when something is an error; warnings leave it at 0.")]
pub struct Args {
    /// Folder of pinrail.toml, as `pinrail up --dir` has it
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub state: State,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Warn,
    Error,
}

/// Returns whether nothing is an error.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<bool> {
    let mut checks = Vec::new();
    let project = files(args, &mut checks);
    disk::look(&args.dir.join(DATA_FOLDER), context.now, &mut checks);
    let seen = server::look(context, &mut checks);
    providers::look(context, project.as_ref(), seen.as_ref(), &mut checks);
    if seen.is_some() {
        webhooks::look(context, &mut checks);
    }
    let errors = checks.iter().filter(|check| check.state == State::Error).count();
    context.out.value(&json!({ "errors": errors, "checks": checks }), || {
        let lines: String = checks.iter().map(Check::line).collect();
        let warnings = checks.iter().filter(|check| check.state == State::Warn).count();
        format!("{lines}{errors} errors, {warnings} warnings")
    })?;
    Ok(errors == 0)
}

impl Check {
    pub fn ok(what: &'static str, found: impl Into<String>) -> Check {
        Check { what, state: State::Ok, found: found.into(), next_step: None }
    }

    pub fn warn(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Check {
        Check { what, state: State::Warn, found: found.into(), next_step: Some(next.into()) }
    }

    pub fn error(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Check {
        Check { what, state: State::Error, found: found.into(), next_step: Some(next.into()) }
    }

    fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok   ",
            State::Warn => "warn ",
            State::Error => "ERROR",
        };
        let next = self
            .next_step
            .as_ref()
            .map(|next| format!("\n       {:9}  next: {next}", ""))
            .unwrap_or_default();
        format!("{state}  {:9}  {}{next}\n", self.what, self.found)
    }
}

fn files(args: &Args, checks: &mut Vec<Check>) -> Option<Project> {
    let settings = Project::read_settings(&args.dir);
    let has_file = settings.as_ref().map_or(true, |project| project.has_file);
    // Without pinrail.toml there is nothing to apply, and `up` runs on its defaults.
    let read = if has_file { Project::read(&args.dir) } else { settings };
    match read {
        Ok(project) if has_file => {
            let (agents, providers) = (project.agents.len(), project.providers.len());
            checks.push(Check::ok(
                "files",
                format!("pinrail.toml is good; agents: {agents}, providers: {providers}"),
            ));
            Some(project)
        }
        Ok(project) => {
            checks.push(Check::ok("files", "no pinrail.toml here: the defaults apply"));
            Some(project)
        }
        Err(BadFiles(faults)) => {
            let found =
                faults.iter().map(|fault| Check::error("files", fault.to_string(), "correct the file"));
            checks.extend(found);
            None
        }
    }
}
