//! `GET /api/v1/mcp/servers?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::mcp::McpServer;

use super::After;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    let After { after, limit } = call.query()?;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let servers = snapshot.world.mcp_servers.iter();
    let servers = servers.filter(|(server, _)| after.as_deref().is_none_or(|after| server.as_str() > after));
    let servers = servers
        .take(limit + 1)
        .map(|(server, spec)| McpServer { server: server.clone(), spec: (**spec).clone() });
    reply::json(&Page::cut(servers.collect(), limit, |server| server.server.to_string()))
}
