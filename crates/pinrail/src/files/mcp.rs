//! `[mcp.NAME]` and `[mcp_commands]` of `pinrail.toml`, and the pins in `agents/AGENT/mcp/`.

use std::path::{Path, PathBuf};

use pinrail_domain::id::McpServerName;
use pinrail_domain::mcp::{McpServerSpec, Pin, TOOLS_BYTES_MAX};

use super::section::{Section, read_text};

/// A program's name or path in `[mcp_commands]`.
const COMMANDS_MAX: usize = 100;

/// Reads an MCP server's settings.
pub fn server(name: &str, section: &Section<'_>) -> Option<(McpServerName, McpServerSpec)> {
    let spec = McpServerSpec {
        url: section.get("url"),
        headers_env: section.get("headers_env").unwrap_or_default(),
        command: section.get("command").unwrap_or_default(),
        env: section.get("env").unwrap_or_default(),
        poll: section.get("poll"),
        timeout: section.get("timeout"),
    };
    let name = McpServerName::new(name).map_err(|bad| section.refuse_whole(&bad.to_string())).ok();
    // What looks like a secret by mistake is not repeated in the error (I15).
    if let Err(bad) = spec.check() {
        section.refuse_whole(&bad.to_string());
        return None;
    }
    Some((name?, spec))
}

/// Reads which programs the server may start as MCP servers.
pub fn commands(section: &Section<'_>) -> Option<Vec<String>> {
    let allow: Vec<String> = section.need("allow")?;
    if allow.len() > COMMANDS_MAX || allow.iter().any(String::is_empty) {
        section.refuse("allow", &format!("must hold at most {COMMANDS_MAX} names or paths of programs"));
        return None;
    }
    Some(allow)
}

/// Where a server's pin is, from the agent's folder.
pub fn pin_file(server: &McpServerName) -> PathBuf {
    Path::new("mcp").join(format!("{server}.json"))
}

/// Reads a server's pin from an agent's folder; the error is for a person.
pub fn read_pin(folder: &Path, server: &McpServerName) -> Result<Pin, String> {
    // Formatted for people, a pin takes more room than its canonical form.
    let text = read_text(&folder.join(pin_file(server)), 4 * TOOLS_BYTES_MAX as u64)?;
    Pin::read(text.as_bytes()).map_err(|bad| {
        let cause = std::error::Error::source(&bad).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("is no pin: {bad}{cause}")
    })
}
