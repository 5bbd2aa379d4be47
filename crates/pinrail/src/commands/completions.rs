//! `pinrail completions`: tab completion for a shell.

use clap_complete::Shell;

use crate::output::Output;

/// Print the tab completion of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail completions bash > ~/.local/share/bash-completion/completions/pinrail
  pinrail completions zsh > \"${fpath[1]}/_pinrail\"
  pinrail completions fish > ~/.config/fish/completions/pinrail.fish")]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args, command: &mut clap::Command, out: Output) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "pinrail", &mut script);
    Ok(out.data(&String::from_utf8(script)?)?)
}
