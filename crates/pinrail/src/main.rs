//! `pinrail`: the command line, and the composition root of the server.
//!
//! What this crate is for: reading arguments, files and the environment, asking a server and showing its answers;
//! and, in `commands::up`, putting the server together. What it must not do: decide anything that a server decides.
//! It is the only crate that reads the clock and the environment ([`system`], [`config`]).
//! Start reading at [`cli`]; each command is one file of [`commands`].

mod capacity;
mod cli;
mod client;
mod commands;
mod config;
mod data;
mod embeds;
mod exit;
mod files;
mod observed;
mod output;
mod system;

use std::process::ExitCode;

use clap::Parser as _;

/// A request allocates on one thread and frees on another (the journal's writer), which this allocator is made for.
/// docs/bench.md has the numbers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.globals.json;
    match cli.run() {
        Ok(code) => code,
        Err(error) => exit::report(&error, json),
    }
}
