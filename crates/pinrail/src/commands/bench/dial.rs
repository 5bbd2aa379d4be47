//! The dial: how soon a turn is everywhere, and what a dial costs whoever it doesn't concern and whoever it does.

use std::process::Command;

use serde_json::{Value, json};

use super::members::Line;
use super::process::{self, Process};
use super::upstream::{ACTS, LOOKS};
use super::{Bench, Row};

mod reach;
mod requests;
mod resolve;

/// The agent that is asked and dialled, and one that is only dialled.
const AGENT: &str = "bench";
const OTHER: &str = "bench-other";

/// A server over an upstream that always answers the same.
struct Stage {
    port: u16,
    _folder: tempfile::TempDir,
    _upstream: Process,
    _server: Process,
}

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = resolve::measure(bench)?;
    let stage = Stage::set(bench).await?;
    let mut operator = Line::open(stage.port).await?;
    let release = set_up(&mut operator, AGENT).await?;
    set_up(&mut operator, OTHER).await?;
    rows.extend(requests::measure(bench, stage.port, &mut operator).await?);
    rows.extend(reach::measure(bench, stage.port, &mut operator, &release).await?);
    Ok(rows)
}

impl Stage {
    async fn set(bench: &Bench) -> anyhow::Result<Stage> {
        let me = std::env::current_exe()?;
        let folder = bench.folder()?;
        let upstream_port = process::free_port()?;
        let upstream =
            Process::start(Command::new(&me).args(["bench", "--upstream"]).arg(upstream_port.to_string()))?;
        process::listening(upstream_port).await?;
        let port = process::free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let server =
            Process::start(Command::new(&me).args(["up", "--listen", &listen, "--dir"]).arg(folder.path()))?;
        process::listening(port).await?;
        let spec = json!({ "base_url": format!("http://127.0.0.1:{upstream_port}/v1"), "catalogue": "sim" });
        let _: Value = Line::open(port).await?.put("providers/fixed", &spec).await?;
        Ok(Stage { port, _folder: folder, _upstream: upstream, _server: server })
    }
}

/// An agent with a release that pins two tools, of which one has side effects; returns another release to try.
async fn set_up(operator: &mut Line, agent: &str) -> anyhow::Result<Value> {
    let _: Value = operator.put(&format!("agents/{agent}"), &json!({})).await?;
    let tools = [LOOKS, ACTS].map(|name| {
        json!({ "type": "function", "function": { "name": name, "parameters": {
            "type": "object", "properties": { "order": { "type": "integer" } } } } })
    });
    let schema: Value = operator.post("artifacts", &json!(tools)).await?;
    let mut releases = Vec::new();
    for temperature in [0, 1] {
        let manifest = json!({
            "pinrail": 1,
            "model": { "provider": "fixed", "snapshot": "sim-1-2026-01-15", "params": { "temperature": temperature } },
            "tools": { "schema": schema["digest"], "side_effects": [ACTS] },
        });
        let made: Value = operator.post("releases", &json!({ "agent": agent, "manifest": manifest })).await?;
        releases.push(made["release"].clone());
    }
    let wish = json!({ "releases": { agent: releases[0] }, "now": true });
    let _: Value = operator.post("deployments", &wish).await?;
    Ok(releases.swap_remove(1))
}

/// Turns an agent's dial, and returns the epoch that members acknowledge.
async fn turn(operator: &mut Line, agent: &str, position: &str) -> anyhow::Result<u64> {
    let wish = json!({ "place": { "agent": agent }, "position": position, "reason": "bench" });
    let turned: pinrail_api::dial::DialTurned = operator.put("dial", &wish).await?;
    anyhow::ensure!(turned.recorded, "the turn is not in the ledger");
    Ok(turned.epoch.0)
}
