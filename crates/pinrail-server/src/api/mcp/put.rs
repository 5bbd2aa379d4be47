//! `PUT /api/v1/mcp/servers/{server}?reason=`: the body is the server's settings.

use pinrail_api::agents::Changed;
use pinrail_domain::id::McpServerName;
use pinrail_domain::mcp::McpServerSpec;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn put(call: Call) -> Answer {
    let server: McpServerName = call.param("server")?;
    let Reason { reason } = call.query()?;
    let spec: McpServerSpec = call.json()?;
    let done = call.control().mcp_server_put(call.by(reason)?, &server, &spec).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn settings_are_put_once_shown_and_removed() {
        let bench = Bench::open().await;
        let path = "/api/v1/mcp/servers/files";
        bench.get(path).await.problem("not_found");
        let spec =
            json!({ "url": "https://files.example/mcp", "headers_env": { "authorization": "FILES_KEY" } });
        assert_eq!(bench.put(path, spec.clone()).await.ok()["change"], "created");
        assert_eq!(bench.put(path, spec.clone()).await.ok()["change"], "unchanged");
        assert_eq!(bench.get(path).await.ok()["spec"], spec);
        assert_eq!(bench.get("/api/v1/mcp/servers").await.ok()["items"][0]["server"], "files");
        let state = &bench.get("/api/v1/mcp").await.ok()["servers"][0];
        assert_eq!((&state["server"], &state["connected"]), (&json!("files"), &json!(false)));
        assert_eq!(bench.delete(path).await.ok()["change"], "removed");
        bench.delete(path).await.problem("not_found");
    }

    #[tokio::test(start_paused = true)]
    async fn settings_that_make_no_sense_are_refused_without_repeating_them() {
        let bench = Bench::open().await;
        let check = async |spec: serde_json::Value| {
            let problem = bench.put("/api/v1/mcp/servers/files", spec).await.problem("bad_mcp_server");
            assert!(!problem.to_string().contains("secret"), "{problem}"); // I15
        };
        check(json!({})).await;
        check(json!({ "url": "https://a:secret@x.example/" })).await;
        check(json!({ "url": "https://x.example/", "command": ["secret"] })).await;
        check(json!({ "command": ["x"], "env": ["sk-secret"] })).await;
        check(json!({ "url": "https://x.example/", "headers_env": { "authorization": "Bearer secret" } }))
            .await;
    }
}
