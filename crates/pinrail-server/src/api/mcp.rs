//! MCP servers: their settings, their state, and the proxy that agents use in their place.

use pinrail_api::problem::{Code, Problem};
use pinrail_control::CommitError;
use pinrail_control::mcp::McpServerRefused;
use pinrail_domain::id::McpServerName;

use crate::problem;

pub mod delete;
pub mod diff;
pub mod get;
pub mod list;
pub mod proxy;
pub mod put;
pub mod status;

use super::agents::{After, Reason, word};

pub fn no_server(server: &McpServerName) -> Problem {
    let next_step = format!(
        "name it in pinrail.toml ([mcp.{server}]) and run `pinrail apply` (PUT /api/v1/mcp/servers/{server})"
    );
    problem::not_found(format!("MCP server `{server}`"), &next_step)
}

/// Why an MCP server stays as it is.
fn refused(error: CommitError<McpServerRefused>) -> Problem {
    problem::commit(error, |refused| {
        let detail = problem::chain(&refused);
        match refused {
            McpServerRefused::Bad(_) => Problem::new(Code::BadMcpServer, detail).next_step(
                "correct [mcp.…] in pinrail.toml and run `pinrail apply`, or send the settings again",
            ),
            McpServerRefused::NoServer(server) => no_server(&server),
            McpServerRefused::InUse { server: _, agent, deployment } => Problem::new(Code::InUse, detail)
                .next_step(format!(
                    "first give `{agent}` a release without it: `pinrail deploy {agent}=RELEASE --now` (POST \
                     /api/v1/deployments)"
                ))
                .fact("agent", agent.as_str())
                .fact("deployment", deployment.0),
            McpServerRefused::TooMany => Problem::new(Code::LimitReached, detail).next_step(
                "remove servers that no release names: `pinrail apply --prune` (DELETE /api/v1/mcp/servers/SERVER)",
            ),
        }
    })
}
