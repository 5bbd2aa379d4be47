//! The project folder of the demo: files as `pinrail init` makes them, changed from chapter to chapter.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::exit::Failed;

/// Where the demo plays.
pub enum Folder {
    /// Removed at the end.
    Temporary(TempDir),
    /// Kept.
    Given(PathBuf),
}

/// The agent's prompt.
#[derive(Clone, Copy)]
pub enum Prompt {
    Careful,
    /// The one that refunds whoever asks.
    Generous,
}

/// What the agent is at a moment of the story.
#[derive(Clone, Copy)]
pub struct Agent {
    pub tier: &'static str,
    pub snapshot: &'static str,
    pub prompt: Prompt,
}

const PROJECT: &str = include_str!("files/pinrail.toml");
const AGENT: &str = include_str!("files/agent.toml");
const RELEASE: &str = include_str!("files/release.toml");
const TOOLS: &str = include_str!("files/tools.json");
const SUITE: &str = include_str!("files/answers.yaml");
const CASES: &str = include_str!("files/answers.csv");
/// What stands in the files for the parts that change.
const TIER: &str = "tier = \"standard\"";
const SNAPSHOT: &str = "snapshot = \"sim-1-2026-01-15\"";

impl Folder {
    /// Takes the folder that is given, which must be empty or missing, or makes one that is removed at the end.
    pub fn take(given: Option<&Path>) -> anyhow::Result<Folder> {
        let Some(dir) = given else {
            let made = tempfile::Builder::new().prefix("pinrail-demo-").tempdir();
            return Ok(Folder::Temporary(made.context("cannot make a temporary folder")?));
        };
        fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let mut inside =
            fs::read_dir(dir).with_context(|| format!("cannot read the folder {}", dir.display()))?;
        if inside.next().is_some() {
            anyhow::bail!(Failed {
                code: "dir_not_empty",
                what: format!("the folder {} isn't empty", dir.display()),
                next_step: "name another one with --dir, or leave --dir out: then the demo plays in a temporary folder"
                    .to_owned(),
                source: None,
            });
        }
        Ok(Folder::Given(dir.to_owned()))
    }

    pub fn path(&self) -> &Path {
        match self {
            Folder::Temporary(dir) => dir.path(),
            Folder::Given(dir) => dir,
        }
    }

    /// Keeps the folder, whatever it is.
    #[must_use]
    pub fn kept(self) -> Folder {
        match self {
            Folder::Temporary(dir) => Folder::Given(dir.keep()),
            Folder::Given(dir) => Folder::Given(dir),
        }
    }
}

/// Writes the whole project, with the agent as it is now.
pub fn write(dir: &Path, agent: Agent) -> anyhow::Result<()> {
    let prompt = match agent.prompt {
        Prompt::Careful => include_str!("files/system.md"),
        Prompt::Generous => include_str!("files/system-generous.md"),
    };
    let files = [
        ("pinrail.toml", PROJECT.to_owned()),
        ("agents/support/agent.toml", AGENT.replace(TIER, &format!("tier = \"{}\"", agent.tier))),
        (
            "agents/support/release.toml",
            RELEASE.replacen(SNAPSHOT, &format!("snapshot = \"{}\"", agent.snapshot), 1),
        ),
        ("agents/support/tools.json", TOOLS.to_owned()),
        ("agents/support/prompts/system.md", prompt.to_owned()),
        ("agents/support/evals/answers.yaml", SUITE.to_owned()),
        ("agents/support/evals/data/answers.csv", CASES.to_owned()),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        let folder = path.parent().expect("every file is in a folder");
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Project;

    #[test]
    fn every_state_of_the_story_is_a_project_that_apply_takes() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for (tier, snapshot, prompt) in [
            ("throwaway", "sim-1-latest", Prompt::Careful),
            ("standard", "sim-1-2026-01-15", Prompt::Careful),
            ("standard", "sim-2-2026-09-01", Prompt::Careful),
            ("standard", "sim-2-2026-09-01", Prompt::Generous),
        ] {
            write(dir.path(), Agent { tier, snapshot, prompt }).unwrap();
            let project = Project::read(dir.path()).unwrap();
            let support = project.agents.values().next().unwrap();
            assert_eq!(support.spec.tier.to_string(), tier);
            ids.insert(support.release.as_ref().unwrap().id);
        }
        assert_eq!(ids.len(), 4, "each is a release of its own");
    }

    #[test]
    fn a_folder_that_is_not_empty_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
        assert!(Folder::take(Some(dir.path())).is_err());
        assert!(Folder::take(Some(&dir.path().join("new/deep"))).is_ok());
    }
}
