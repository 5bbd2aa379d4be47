//! `pinrail tools status` and `pinrail tools diff`: what the server's proxy sees.

use pinrail_api::mcp::{McpDiff, McpState, McpStatus};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::McpServerName;

use crate::cli::Context;
use crate::client::{Query, escape};
use crate::output::diff::render_tools;
use crate::output::table::{or_dash, table};
use crate::output::{clean, time};

pub fn run(context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<McpStatus>("/api/v1/mcp")?;
    Ok(context.out.reply(&reply, |status| show(status, context))?)
}

pub fn diff(context: &Context, server: &McpServerName, pin: Option<Digest>) -> anyhow::Result<()> {
    let path = Query::default().add("pin", pin).on(&format!("/api/v1/mcp/{}/diff", escape(server.as_str())));
    let reply = context.client.get::<McpDiff>(&path)?;
    if context.out.is_json() {
        return Ok(context.out.reply(&reply, |_| String::new())?);
    }
    let McpDiff { server, pin, live, differences, tools } = &reply.value;
    if differences.is_empty() {
        return Ok(context.out.data(&format!("{server} is as pinned in {}", pin.short()))?);
    }
    let mut text = format!("{server}: {} → {}\n", pin.short(), live.short());
    if let Some(identity) = &differences.identity {
        text.push_str(&format!("it says that it is {} now\n", clean(identity)));
    }
    text.push_str(&render_tools(tools, context.out.colours()));
    Ok(context.out.styled(&text)?)
}

fn show(status: &McpStatus, context: &Context) -> String {
    let rows = status.servers.iter().map(|server| {
        let state = match (&server.error, server.connected) {
            (Some(_), _) => "failing",
            (None, true) => "connected",
            (None, false) if server.checked_at.is_some() => "between connections",
            (None, false) => "not asked yet",
        };
        vec![
            server.server.to_string(),
            state.to_owned(),
            or_dash(server.identity.as_ref()),
            or_dash(server.tools.map(|tools| tools.to_string()).as_ref()),
            or_dash(server.checked_at.map(|at| time::relative(context.now, at)).as_ref()),
            server.pins.len().to_string(),
            server.findings.len().to_string(),
        ]
    });
    let header = ["server", "state", "says that it is", "tools", "listed", "pins in use", "findings"];
    let none = "no MCP servers; name them in pinrail.toml ([mcp.NAME]) and run `pinrail apply`";
    let mut text = table(&header, rows.collect(), none);
    for server in &status.servers {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&below(server));
    }
    text
}

/// What is wrong with a server, a line each.
fn below(server: &McpState) -> String {
    let mut text = String::new();
    if let Some(error) = &server.error {
        text.push_str(&format!("{}: {error}; calls of its tools are refused\n", server.server));
    }
    for finding in &server.findings {
        text.push_str(&format!("finding {}: {}\n", finding.finding, finding.what));
    }
    if !server.findings.is_empty() {
        text.push_str(&format!(
            "  next: pinrail tools diff {0}, then pin it anew (pinrail tools pin AGENT --mcp {0} --write) and deploy, \
             or clear the finding\n",
            server.server
        ));
    }
    text
}
