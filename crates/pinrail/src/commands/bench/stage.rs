//! What the data plane is measured on: the fixed upstream, and in front of it nginx and Pinrail, each a process of its own.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::output::talk;

use super::Bench;
use super::process::{self, Process};

/// Agents of the measured server: one whose stamps follow soon, one whose stamps come first.
pub const SOON: &str = "bench-soon";
pub const DURABLE: &str = "bench-durable";
/// Longer than any measurement: streams that are held open must not be cut for their silence.
const IDLE_MS: u64 = 3_600_000;

/// Three processes and their ports; they end with it, Pinrail first.
pub struct Stage {
    pub ours: Process,
    pub port: u16,
    pub nginx: Option<(Process, u16)>,
    _upstream: Process,
    pub upstream_port: u16,
    /// Resident memory of the server before it was asked for anything.
    pub fresh_mb: f64,
    _folder: TempDir,
}

impl Stage {
    /// Upstream and Pinrail.
    pub async fn set(bench: &Bench) -> anyhow::Result<Stage> {
        let folder = bench.folder()?;
        let upstream_port = process::free_port()?;
        let me = std::env::current_exe()?;
        let upstream =
            Process::start(Command::new(&me).args(["bench", "--upstream"]).arg(upstream_port.to_string()))?;
        process::listening(upstream_port).await?;
        let port = process::free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let ours =
            Process::start(Command::new(&me).args(["up", "--listen", &listen, "--dir"]).arg(folder.path()))?;
        process::listening(port).await?;
        let fresh_mb = ours.resident_mb()?;
        configure(port, upstream_port)?;
        let nginx = None;
        Ok(Stage { ours, port, nginx, _upstream: upstream, upstream_port, fresh_mb, _folder: folder })
    }

    /// Puts nginx beside them, where there is one in PATH.
    pub async fn with_nginx(mut self) -> anyhow::Result<Stage> {
        self.nginx = start_nginx(self._folder.path(), self.upstream_port).await?;
        Ok(self)
    }
}

async fn start_nginx(folder: &Path, upstream: u16) -> anyhow::Result<Option<(Process, u16)>> {
    let port = process::free_port()?;
    let folder = folder.join("nginx");
    std::fs::create_dir(&folder)?;
    let config = format!(
        "worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log crit;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; keepalive_requests 1000000000;
           client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
           fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
           upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
           server {{
             listen 127.0.0.1:{port};
             location / {{
               proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;
             }}
           }}
         }}",
        dir = folder.display()
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config)?;
    let mut command = Command::new("nginx");
    match Process::start(command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(&path)) {
        Ok(nginx) => {
            process::listening(port).await?;
            Ok(Some((nginx, port)))
        }
        Err(_) => {
            talk("there is no nginx in PATH: measuring without that baseline");
            Ok(None)
        }
    }
}

/// Makes the measured server's provider, agents and releases.
fn configure(port: u16, upstream: u16) -> anyhow::Result<()> {
    let api = format!("http://127.0.0.1:{port}/api/v1");
    let put = |path: &str, body: Value| ureq::put(format!("{api}/{path}")).send_json(body);
    let post = |path: &str, body: Value| -> anyhow::Result<Value> {
        Ok(ureq::post(format!("{api}/{path}")).send_json(body)?.body_mut().read_json()?)
    };
    let spec = json!({
        "base_url": format!("http://127.0.0.1:{upstream}/v1"), "catalogue": "sim", "timeouts": { "idle_ms": IDLE_MS },
    });
    put("providers/fixed", spec)?;
    for (agent, tier) in [(SOON, "standard"), (DURABLE, "critical")] {
        put(&format!("agents/{agent}"), json!({ "tier": "standard" }))?;
        let manifest =
            json!({ "pinrail": 1, "model": { "provider": "fixed", "snapshot": "sim-1-2026-01-15" } });
        let release = post("releases", json!({ "agent": agent, "manifest": manifest }))?;
        post("deployments", json!({ "releases": { agent: release["release"] }, "now": true }))?;
        // A promotion in tier critical would need a gate, which isn't what is measured here.
        put(&format!("agents/{agent}"), json!({ "tier": tier }))?;
    }
    Ok(())
}
