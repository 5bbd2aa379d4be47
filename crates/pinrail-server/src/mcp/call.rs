//! What a client of the proxy may ask: the handshake, the list, calls. Everything else it doesn't offer.

use std::sync::Arc;
use std::time::Duration;

use pinrail_control::approvals::{AuthorizeError, Authorized, ToolCall};
use pinrail_domain::agent::Bodies;
use pinrail_domain::dial::{Ruling, ToolRule};
use pinrail_domain::id::McpServerName;
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::mcp::{Pin, PinnedTool};
use pinrail_mcp::CallError;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::Mcp;
use super::journal::kept;
use super::listed::Allowed;
use super::rpc::{Fault, INVALID_PARAMS, METHOD_NOT_FOUND};
use super::upstream::Checked;

/// The protocol versions that the proxy speaks, newest first. All of them have sessions and a handshake.
pub const PROTOCOLS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// How long a call waits for its approval before its client is told so: official clients give up after a minute.
const APPROVAL_WAIT: Duration = Duration::from_secs(25);
/// What a client may name of a tool; more is no name.
const NAME_BYTES_MAX: usize = 128;

/// A call of a tool that a run's release pins.
struct Wanted<'a> {
    stamp: &'a Stamp,
    tool: String,
    arguments: Map<String, Value>,
    /// What the call is known by in the journal.
    id: String,
    bodies: Bodies,
}

/// Answers `initialize`.
pub fn greet(params: &Map<String, Value>, stamp: &Stamp, version: &str) -> Result<Value, Fault> {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let wanted = wanted.ok_or_else(|| Fault::new(INVALID_PARAMS, "protocolVersion is missing"))?;
    let spoken = PROTOCOLS.into_iter().find(|known| *known == wanted).unwrap_or(PROTOCOLS[0]);
    let title = format!("Tools of agent {} as release {} pins them", stamp.agent, stamp.release.short());
    Ok(json!({
        "protocolVersion": spoken,
        "capabilities": { "tools": { "listChanged": true } },
        "serverInfo": { "name": "pinrail", "title": title, "version": version },
    }))
}

impl Mcp {
    /// Answers a request of a client that has its run.
    pub(crate) async fn answer(
        &self,
        stamp: &Stamp,
        request: &Value,
        method: &str,
        params: Map<String, Value>,
        cancelled: &Notify,
    ) -> Result<Value, Fault> {
        match method {
            "ping" => Ok(json!({})),
            "tools/list" => self.list(stamp, &params).await,
            "tools/call" => self.call(stamp, request, params, cancelled).await,
            "initialize" => Err(Fault::new(INVALID_PARAMS, "this session is initialized already")),
            other => {
                let shown = &other[..other.floor_char_boundary(100)];
                Err(Fault::new(METHOD_NOT_FOUND, format!("Method not found: {shown}")))
            }
        }
    }

    async fn list(&self, stamp: &Stamp, params: &Map<String, Value>) -> Result<Value, Fault> {
        if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
            return Err(Fault::new(INVALID_PARAMS, "there is one page, so no cursor leads anywhere"));
        }
        Ok(json!({ "tools": self.allowed(stamp).await?.definitions() }))
    }

    async fn call(
        &self,
        stamp: &Stamp,
        request: &Value,
        params: Map<String, Value>,
        cancelled: &Notify,
    ) -> Result<Value, Fault> {
        let (tool, arguments) = read(params)?;
        let bodies = self.bodies(stamp);
        let id = request.as_str().map_or_else(|| request.to_string(), str::to_owned);
        let wanted = Wanted { stamp, tool, arguments, id, bodies };
        let refused = match self.prepare(&wanted, cancelled).await {
            Ok(checked) => return self.forward(&wanted, checked, cancelled).await,
            Err(refused) => refused,
        };
        let data = json!({ "tool": wanted.tool, "code": refused.word(), "why": refused.message });
        self.note(stamp, "mcp_refused", data).await;
        Err(refused)
    }

    /// All that stands before a call. What it gives back is the server, which lists the tool as it is pinned.
    async fn prepare(&self, wanted: &Wanted<'_>, cancelled: &Notify) -> Result<Checked, Fault> {
        // What the dial lets pass isn't asked about any further.
        self.inner.control.fresh_for(wanted.stamp).await.map_err(|error| unasked(&error))?;
        let allowed = self.allowed(wanted.stamp).await?;
        let (server, _, pinned) = known(&allowed, &wanted.tool)?;
        self.ask_dial(&allowed, wanted, cancelled).await?;
        let checked = self.reach_for_call(server, wanted.stamp).await?;
        // The check may just have found it.
        let allowed = self.allowed(wanted.stamp).await?;
        let (server, _, pinned_now) = known(&allowed, &wanted.tool)?;
        debug_assert_eq!(pinned.name, pinned_now.name);
        is_as_pinned(server, pinned_now, &checked.tools)?;
        Ok(checked)
    }

    /// Asks the dial, and where it wants a person, waits for one a while.
    ///
    /// A call that is sent again with the same arguments is the same one to approvals, so a client that gave up waiting
    /// goes on where it was.
    async fn ask_dial(
        &self,
        allowed: &Allowed,
        wanted: &Wanted<'_>,
        cancelled: &Notify,
    ) -> Result<(), Fault> {
        let Wanted { stamp, tool, arguments, .. } = wanted;
        if allowed.rule(tool) == ToolRule::Allowed {
            return Ok(());
        }
        let control = &self.inner.control;
        let arguments = Value::Object(arguments.clone());
        let has_side_effects = Some(allowed.contract.has_side_effects(tool));
        let patience = tokio::time::sleep(APPROVAL_WAIT);
        tokio::pin!(patience);
        loop {
            let mut changes = control.approval_changes();
            let call = ToolCall { tool, arguments: &arguments, id: None, side_effects: has_side_effects };
            let ruled = control.authorize_tool(stamp, call).await.map_err(|error| unasked(&error))?;
            let waits = match ruled.ruling {
                Ruling::Allowed => return Ok(()),
                Ruling::NeedsApproval => true,
                Ruling::Denied | Ruling::Withheld => false,
            };
            if !waits {
                return Err(not_authorized(tool, &ruled));
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Err(not_authorized(tool, &ruled)) },
                () = control.may_have_changed_elsewhere() => {}
                () = &mut patience => return Err(not_authorized(tool, &ruled)),
                () = cancelled.notified() => return Err(told(CallError::Cancelled, tool)),
            }
        }
    }

    /// The server, connected, and listed lately enough.
    async fn reach_for_call(&self, server: &McpServerName, stamp: &Stamp) -> Result<Checked, Fault> {
        let Some(upstream) = self.upstream(server) else {
            let what = format!("there is no MCP server `{server}` any more");
            return Err(Fault::refused(
                "no_mcp_server",
                what,
                "name it in pinrail.toml and run `pinrail apply`",
            ));
        };
        if let Some(checked) = upstream.ready(&*self.inner.clock).await {
            return Ok(checked);
        }
        self.check(&upstream, &[stamp.release]).await.map_err(|why| {
            let what = format!(
                "MCP server `{server}` cannot be checked against its pin, so nothing is called: {why}"
            );
            Fault::upstream("upstream_unchecked", what, "look at it: `pinrail tools status`")
        })
    }

    /// Calls the tool, between two entries of the run's journal.
    async fn forward(
        &self,
        wanted: &Wanted<'_>,
        checked: Checked,
        cancelled: &Notify,
    ) -> Result<Value, Fault> {
        let Wanted { stamp, tool, arguments, id, bodies } = wanted;
        let sent = Value::Object(arguments.clone());
        let asked =
            Event::ToolCall { name: tool.clone(), id: Some(id.clone()), arguments: kept(&sent, *bodies) };
        self.append(stamp, asked).await?;
        let called = checked.live.call(tool, Some(arguments.clone()), cancelled.notified()).await;
        let (error, result) = match &called {
            Ok(result) => {
                (result.get("isError").and_then(Value::as_bool).unwrap_or(false), kept(result, *bodies))
            }
            Err(failed) => (true, json!({ "failed": failed.to_string() })),
        };
        let ended = Event::ToolResult { name: tool.clone(), id: Some(id.clone()), error, result };
        // It has happened, whatever becomes of its entry: the client gets what the server said.
        if let Err(fault) = self.append(stamp, ended).await {
            tracing::error!(run = %stamp.run, tool, why = fault.message, "a tool's result isn't in the journal");
        }
        called.map_err(|failed| told(failed, tool))
    }

    /// Journals an event, durably: what isn't on record doesn't happen.
    async fn append(&self, stamp: &Stamp, event: Event) -> Result<(), Fault> {
        let own = Tenants::Only([stamp.tenant.clone()].into());
        let appended = self.inner.control.runs().append(stamp.run, &own, None, vec![event], None).await;
        appended.map(drop).map_err(|error| {
            let what = format!("run {} takes no tool call: {}", stamp.run, crate::problem::chain(&error));
            Fault::refused(
                "run_state",
                what,
                "begin another run, or look at this one: `pinrail run show RUN`",
            )
        })
    }

    async fn note(&self, stamp: &Stamp, name: &str, data: Value) {
        let noted = self.append(stamp, Event::Note { name: name.to_owned(), data }).await;
        if let Err(fault) = noted {
            tracing::debug!(run = %stamp.run, why = fault.message, "a refusal isn't in the journal");
        }
    }

    fn bodies(&self, stamp: &Stamp) -> Bodies {
        let snapshot = self.inner.control.snapshot();
        // Of an agent that was removed, nobody says any more what may be kept.
        snapshot.world.agents.get(&stamp.agent).map_or(Bodies::Off, |spec| spec.journal.bodies)
    }
}

/// Why neither the dial nor a person could be asked.
fn unasked(error: &AuthorizeError) -> Fault {
    if let AuthorizeError::Stale { ms } = error {
        let next_step =
            "send it again: another replica may answer; `pinrail doctor` says what this one lacks";
        return Fault::refused("stale", error.to_string(), next_step).fact("stale_ms", *ms);
    }
    let what = format!("nobody can be asked about the call: {}", crate::problem::chain(error));
    Fault::refused("not_authorized", what, "try again, or look at the server's log")
}

/// Why the dial, or a person, doesn't let a call through.
fn not_authorized(tool: &str, ruled: &Authorized) -> Fault {
    let why = ruled.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let dial = "see where the dial stands: `pinrail dial show` (GET /api/v1/dial)";
    let (code, what, next_step) = match ruled.ruling {
        Ruling::NeedsApproval => (
            "approval_needed",
            format!("the call of `{tool}` waits for a person's approval{why}"),
            "have it approved, then send the same call again",
        ),
        Ruling::Denied => ("denied", format!("the call of `{tool}` was denied{why}"), "ask who denied it"),
        Ruling::Withheld | Ruling::Allowed => {
            ("tool_withheld", format!("tool `{tool}` is withheld{why}"), dial)
        }
    };
    let fault = Fault::refused(code, what, next_step).fact("tool", tool);
    match ruled.approval {
        Some(approval) => fault.fact("approval", approval.to_string()),
        None => fault,
    }
}

fn read(mut params: Map<String, Value>) -> Result<(String, Map<String, Value>), Fault> {
    let tool = match params.remove("name") {
        Some(Value::String(name)) if name.len() <= NAME_BYTES_MAX => name,
        Some(_) | None => return Err(Fault::new(INVALID_PARAMS, "name must name a tool")),
    };
    match params.remove("arguments") {
        None | Some(Value::Null) => Ok((tool, Map::new())),
        Some(Value::Object(arguments)) => Ok((tool, arguments)),
        Some(_) => Err(Fault::new(INVALID_PARAMS, "arguments must be an object")),
    }
}

/// The pinned tool, unless it isn't pinned or is in quarantine.
fn known<'a>(
    allowed: &'a Allowed,
    tool: &str,
) -> Result<(&'a McpServerName, &'a Arc<Pin>, &'a PinnedTool), Fault> {
    let quarantine = |finding: &pinrail_domain::drift::Finding| {
        let what = format!("tool `{tool}` is in quarantine: {}", finding.what);
        let next_step = format!(
            "a person looks at it (`pinrail tools diff SERVER`), then pins it anew or clears finding {}",
            finding.seq
        );
        Fault::refused("tool_quarantined", what, &next_step).fact("finding", finding.seq.0).fact("tool", tool)
    };
    match allowed.contract.pinned_tool(tool) {
        Some((server, pin, pinned)) => match allowed.finding(server, tool) {
            Some(finding) => Err(quarantine(finding)),
            None => Ok((server, pin, pinned)),
        },
        None => Err(match allowed.finding_of_added(tool) {
            Some(finding) => quarantine(finding),
            None => Fault::new(INVALID_PARAMS, format!("Unknown tool: {tool}")),
        }),
    }
}

/// What the ledger could not be told yet counts all the same.
fn is_as_pinned(server: &McpServerName, pinned: &PinnedTool, live: &Pin) -> Result<(), Fault> {
    let same = live
        .tool(pinned.name.as_str())
        .is_some_and(|now| matches!((now.digest(), pinned.digest()), (Ok(now), Ok(pinned)) if now == pinned));
    if same {
        return Ok(());
    }
    let what = format!("tool `{}` of MCP server `{server}` is not what is pinned", pinned.name);
    Err(Fault::refused("tool_changed", what, "look at it: `pinrail tools diff SERVER`"))
}

/// What became of a call that has no result.
fn told(failed: CallError, tool: &str) -> Fault {
    let unknown = "whether it was done is not known: look before you call it again";
    match failed {
        CallError::Refused { code, message, data } => Fault { code: i64::from(code), message, data },
        CallError::Timeout(ms) => {
            let what = format!("tool `{tool}` did not answer within {ms} ms, and was told to stop");
            Fault::upstream("upstream_timeout", what, unknown)
        }
        CallError::Cancelled => {
            let what = format!("the call of `{tool}` was cancelled");
            Fault::upstream("cancelled", what, unknown)
        }
        CallError::Broken(why) => {
            let what = format!("the connection to the server of `{tool}` broke: {why}");
            Fault::upstream("upstream_broken", what, unknown)
        }
    }
}
