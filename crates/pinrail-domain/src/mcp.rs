//! MCP servers: where they are, and how they are reached. Keys are named, never held (I15).
//!
//! What of a server's tools is pinned, and what counts as a change, is in [`Pin`] and [`Differences`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::provider::is_env_name;
use crate::rollout::quantity::Span;

mod compare;
mod pin;
#[cfg(test)]
mod tests;

pub use compare::Differences;
pub use pin::{BadPin, Identity, PIN_FORMAT, Pin, PinnedTool, TOOL_BYTES_MAX, TOOLS_BYTES_MAX, TOOLS_MAX};

/// An MCP server's settings. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServerSpec {
    /// Streamable HTTP: its address, such as `https://tools.example.com/mcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// With `url`: headers and the environment variables that hold their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers_env: BTreeMap<String, String>,
    /// Over stdio: the program that is started where Pinrail runs, with its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// With `command`: the names of the environment variables that the program gets besides `PATH` and `HOME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// How often `tools/list` is asked; none: [`POLL_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Span>,
    /// How long a call may take; none: [`TIMEOUT_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// How often `tools/list` is asked.
pub const POLL_DEFAULT: Span = Span::minutes(1);
/// How long a call may take.
pub const TIMEOUT_DEFAULT: Span = Span::minutes(1);
/// A program's arguments.
pub const COMMAND_ARGS_MAX: usize = 100;

/// Why an MCP server's settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMcpServer {
    #[error("name either url or command: one of them says how the server is reached")]
    OneTransport,
    #[error("url must be http:// or https:// and carry no user name, password, query or fragment")]
    Url,
    #[error("command must name a program and at most {COMMAND_ARGS_MAX} arguments")]
    Command,
    #[error("headers_env goes with url, env goes with command")]
    WrongTransport,
    #[error(
        "headers_env and env name environment variables, never hold values: one of them is no variable's name"
    )]
    EnvName,
    #[error("poll and timeout must be at least a second")]
    TooOften,
}

impl McpServerSpec {
    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadMcpServer> {
        let McpServerSpec { url, headers_env, command, env, poll, timeout } = self;
        match (url, command.is_empty()) {
            (Some(_), false) | (None, true) => return Err(BadMcpServer::OneTransport),
            (Some(_), true) if !env.is_empty() => return Err(BadMcpServer::WrongTransport),
            (None, false) if !headers_env.is_empty() => return Err(BadMcpServer::WrongTransport),
            (Some(url), true) => {
                let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                let clean =
                    |rest: &str| !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']) && rest.is_ascii();
                if !rest.is_some_and(clean) {
                    return Err(BadMcpServer::Url);
                }
            }
            (None, false) => {
                if command.len() > COMMAND_ARGS_MAX + 1 || command[0].is_empty() {
                    return Err(BadMcpServer::Command);
                }
            }
        }
        if !headers_env.values().chain(env).all(|name| is_env_name(name)) {
            return Err(BadMcpServer::EnvName);
        }
        if [poll, timeout].into_iter().flatten().any(|span| span.ms < 1_000) {
            return Err(BadMcpServer::TooOften);
        }
        Ok(())
    }

    #[must_use]
    pub fn poll(&self) -> Span {
        self.poll.unwrap_or(POLL_DEFAULT)
    }

    #[must_use]
    pub fn timeout(&self) -> Span {
        self.timeout.unwrap_or(TIMEOUT_DEFAULT)
    }
}
