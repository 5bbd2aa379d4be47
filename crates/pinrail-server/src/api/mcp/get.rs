//! `GET /api/v1/mcp/servers/{server}`.

use pinrail_api::mcp::McpServer;
use pinrail_domain::id::McpServerName;

use super::no_server;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let server: McpServerName = call.param("server")?;
    let snapshot = call.control().snapshot();
    let spec = snapshot.world.mcp_servers.get(&server).ok_or_else(|| no_server(&server))?;
    reply::json(&McpServer { spec: (**spec).clone(), server })
}
