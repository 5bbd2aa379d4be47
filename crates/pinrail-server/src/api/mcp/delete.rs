//! `DELETE /api/v1/mcp/servers/{server}?reason=`.

use pinrail_api::agents::Changed;
use pinrail_domain::id::McpServerName;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn remove(call: Call) -> Answer {
    let server: McpServerName = call.param("server")?;
    let Reason { reason } = call.query()?;
    let done = call.control().mcp_server_remove(call.by(reason)?, &server).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}
