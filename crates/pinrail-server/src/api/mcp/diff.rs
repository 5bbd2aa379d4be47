//! `GET /api/v1/mcp/{server}/diff?pin=`: the server is listed now, and compared.

use pinrail_api::mcp::McpDiff;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::mcp::pins_in_use;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::McpServerName;
use pinrail_domain::mcp::Pin;
use pinrail_domain::release::diff::diff_tools;
use serde::Deserialize;

use super::no_server;
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    pin: Option<Digest>,
}

pub async fn show(call: Call) -> Answer {
    let server: McpServerName = call.param("server")?;
    let Query { pin } = call.query()?;
    let mcp = &call.state.mcp;
    let upstream = mcp.upstream(&server).ok_or_else(|| no_server(&server))?;
    let digest = match pin {
        Some(pin) => pin,
        None => the_only_pin(&call, &server)?,
    };
    let pin = mcp.pin(digest).await.map_err(|why| {
        Problem::new(Code::MissingArtifact, why).next_step(
            "store it again: `pinrail release create AGENT` (POST /api/v1/artifacts with its bytes)",
        )
    })?;
    let checked = mcp.check(&upstream, &[]).await.map_err(|why| {
        Problem::new(Code::McpServerFailed, format!("MCP server `{server}` cannot be listed: {why}"))
            .next_step("look at its settings and its log: `pinrail tools status` (GET /api/v1/mcp)")
    })?;
    let live = checked.tools.digest().map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let text = |pin: &Pin| serde_json::to_string(&pin.tools).expect("a pin is plain data");
    let tools = diff_tools(Some(&text(&pin)), Some(&text(&checked.tools)));
    reply::json(&McpDiff { server, pin: digest, live, differences: pin.differences(&checked.tools), tools })
}

fn the_only_pin(call: &Call, server: &McpServerName) -> Result<Digest, Problem> {
    let used = pins_in_use(&call.control().snapshot().world, []);
    let pins: Vec<Digest> = used.get(server).map(|users| users.keys().copied().collect()).unwrap_or_default();
    match pins[..] {
        [one] => Ok(one),
        [] => Err(Problem::new(Code::NotFound, format!("no release in use pins MCP server `{server}`"))
            .next_step("name a pin: ?pin=sha256:… (`pinrail release show` has it)")),
        _ => {
            let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
            Err(Problem::new(
                Code::Ambiguous,
                format!("releases in use pin MCP server `{server}` in several ways"),
            )
            .next_step("name one of `pins`: ?pin=sha256:… (--pin)")
            .fact("pins", pins))
        }
    }
}
