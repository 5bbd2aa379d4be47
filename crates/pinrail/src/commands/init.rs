//! `pinrail init`: scaffolds a repository that `pinrail apply` accepts as it is.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::output::{Output, talk};

/// Make pinrail.toml and an example agent in agents/support/
///
/// The example runs on the simulated provider, so it works without a provider's key. What exists is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail init
  pinrail init my-agents
  pinrail init --force            replaces what exists, and says so")]
pub struct Args {
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Replace the files that exist
    #[arg(long)]
    force: bool,
}

/// What is made, with its path from the folder.
pub const FILES: [(&str, &str); 6] = [
    ("pinrail.toml", include_str!("init/pinrail.toml")),
    ("agents/support/agent.toml", include_str!("init/agent.toml")),
    ("agents/support/release.toml", include_str!("init/release.toml")),
    ("agents/support/prompts/system.md", include_str!("init/system.md")),
    ("agents/support/tools.json", include_str!("init/tools.json")),
    ("agents/support/evals/answers.yaml", include_str!("init/answers.yaml")),
];

pub fn run(args: &Args, out: Output) -> anyhow::Result<()> {
    let mut done = Vec::new();
    for (name, text) in FILES {
        done.push((name, write(&args.dir.join(name), text, args.force)?));
    }
    let files: Vec<_> = done.iter().map(|(file, what)| json!({ "file": file, "change": what })).collect();
    let lines = done.iter().map(|(file, what)| format!("{what:9}  {file}\n"));
    out.value(&json!({ "dir": args.dir, "files": files }), || lines.collect())?;
    if done.iter().any(|(_, what)| *what == "kept") {
        talk("what existed is kept as it is; --force replaces it");
    }
    let there =
        if args.dir == Path::new(".") { String::new() } else { format!("cd {}\n  ", args.dir.display()) };
    talk(&format!(
        "next:\n  {there}{:42}the server, in another terminal\n  {:42}makes agents, providers and releases\n  {:42}shows the id to \
         deploy\n  {:42}puts it in front of traffic",
        "pinrail up",
        "pinrail apply",
        "pinrail release list --agent support",
        "pinrail deploy support=ID --now"
    ));
    Ok(())
}

/// Writes a file and says what happened: `created`, `kept`, `unchanged` or `replaced`.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<&'static str> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(cannot)?;
            Ok("created")
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
                Ok("unchanged")
            } else if force {
                fs::write(path, text).with_context(cannot)?;
                Ok("replaced")
            } else {
                Ok("kept")
            }
        }
        Err(error) => Err(error).with_context(cannot),
    }
}
