//! `GET /api/v1/mcp`.

use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&call.state.mcp.status())
}
