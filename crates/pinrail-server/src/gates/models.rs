//! What a gate asks models through: the gateway, as live traffic does, in runs that are pinned to a release.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use pinrail_control::Control;
use pinrail_control::runs::GateRunRefused;
use pinrail_control::state::vectors::live::Embeds;
use pinrail_domain::begin::BeginError;
use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Outcome, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::model::{Served, Tokens};
use pinrail_domain::time::Clock;
use pinrail_gate::answer::ToolCall;
use pinrail_gate::ask::{Arm, AskFailed, Models, Reply};
use pinrail_gateway::Gateway;
use pinrail_wire::chat::observe_answer;
use pinrail_wire::{Observed, parse_error};
use serde_json::Value;

use super::GateEmbedder;

/// Asks through the gateway.
pub struct GatewayModels {
    pub control: Control,
    pub gateway: Gateway,
    pub clock: Arc<dyn Clock>,
    pub embeds: Arc<dyn Embeds>,
    /// What `similar` embeds with; none: nothing is configured.
    pub embedder: Option<GateEmbedder>,
}

/// Bytes of a provider's error text that a row keeps.
const WHY_BYTES_MAX: usize = 500;

#[async_trait]
impl Models for GatewayModels {
    async fn begin(&self, of: Arm) -> Result<RunId, AskFailed> {
        let Arm { gate, agent, release } = of;
        let begun = self.control.runs().begin_gate(gate, &agent, release).await;
        begun.map(|stamp| stamp.run).map_err(|refused| {
            let why = crate::problem::chain(&refused);
            match refused {
                GateRunRefused::Begin(
                    BeginError::Busy { .. } | BeginError::Stale { .. } | BeginError::Journal(_),
                ) => AskFailed::Passing { why, retry_after_ms: None },
                GateRunRefused::NoRelease { .. } | GateRunRefused::Begin(_) => AskFailed::Lasting(why),
            }
        })
    }

    async fn ask(&self, run: RunId, mut body: Value) -> Result<Reply, AskFailed> {
        let lasting = |why: String| AskFailed::Lasting(why);
        let stamp = self.control.runs().stamp(run, &Tenants::All).await;
        let stamp =
            stamp.map_err(|error| AskFailed::Passing { why: error.to_string(), retry_after_ms: None })?;
        let stamp = stamp.ok_or_else(|| lasting(format!("there is no run {run}")))?;
        body["model"] = stamp.agent.as_str().into();
        let bytes = Bytes::from(serde_json::to_vec(&body).expect("a request is plain data"));
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .header("x-pinrail-run", run.to_string())
            .body(Full::new(bytes))
            .expect("a run's id is visible ASCII");
        let started = self.clock.ticks();
        let response = self.gateway.handle(request, &Tenants::All).await;
        let (head, answer) = response.into_parts();
        let answer = answer.collect().await.map_err(|error| AskFailed::Passing {
            why: format!("the answer broke off: {error}"),
            retry_after_ms: None,
        })?;
        let latency_us = self.clock.ticks().us_since(started);
        let answer = answer.to_bytes();
        if !head.status.is_success() {
            return Err(failed(head.status, &head.headers, &answer));
        }
        let observed = observe_answer(&answer).map_err(|error| lasting(error.to_string()))?;
        let whole: Value = serde_json::from_slice(&answer).map_err(|error| lasting(error.to_string()))?;
        Ok(self.reply(&stamp, observed, whole, latency_us))
    }

    async fn end(&self, run: RunId, ok: bool) {
        let outcome = if ok { Outcome::Ok } else { Outcome::Error };
        if let Err(error) = self.control.runs().end_gate(run, outcome).await {
            tracing::warn!(%run, %error, "a gate's run could not be ended; it is when the gate is resumed");
        }
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, AskFailed> {
        let Some(GateEmbedder { provider, embedder }) = &self.embedder else {
            let why = "`similar` needs an embedder: set [gate] embedder = { provider, model, dims } in pinrail.toml";
            return Err(AskFailed::Lasting(why.to_owned()));
        };
        let spec = self.control.snapshot().world.providers.get(provider).cloned();
        let spec = spec.ok_or_else(|| {
            AskFailed::Lasting(format!("the embedder's provider `{provider}` is not registered"))
        })?;
        let embedded = self.embeds.embed(&spec, embedder, texts.to_vec()).await;
        embedded.map_err(|why| AskFailed::Passing { why, retry_after_ms: None })
    }
}

impl GatewayModels {
    fn reply(&self, stamp: &Stamp, observed: Observed, whole: Value, latency_us: u64) -> Reply {
        let choice = &whole["choices"][0];
        let text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
        let usage = observed.usage.unwrap_or_default();
        let call =
            |call: pinrail_wire::ToolCall| ToolCall { name: call.name, arguments: call.arguments, id: None };
        let mut tool_calls: Vec<ToolCall> = observed.tool_calls.into_iter().map(call).collect();
        let listed = choice["message"]["tool_calls"].as_array().into_iter().flatten();
        for (call, listed) in tool_calls.iter_mut().zip(listed) {
            call.id = listed["id"].as_str().map(str::to_owned);
            // What is journaled of arguments is bounded; what is judged is all of it.
            if let Some(arguments) = listed["function"]["arguments"].as_str() {
                arguments.clone_into(&mut call.arguments);
            }
        }
        let snapshot = self.control.snapshot();
        let part = snapshot.world.providers.get(&stamp.provider).map(|spec| spec.catalogue.clone());
        let part = part.unwrap_or_default();
        let catalogue = self.control.catalogue();
        let tokens = Tokens {
            input: usage.prompt_tokens,
            cached_input: usage.cached_prompt_tokens,
            output: usage.completion_tokens,
        };
        let cost = catalogue.price(&part, &stamp.snapshot).map(|price| price.cost(tokens).0);
        let served = observed.served_model.filter(|served| !served.is_empty());
        let is_pin =
            match catalogue.served_matches(&part, &stamp.snapshot, served.as_deref().unwrap_or_default()) {
                Served::Same | Served::SameCheckpoint { .. } | Served::Unsaid => true,
                Served::Different => false,
            };
        Reply {
            message: choice["message"].clone(),
            text,
            tool_calls,
            finish_reason: observed.finish_reason,
            refusal: observed.refusal,
            served,
            is_pin,
            #[allow(clippy::cast_precision_loss, reason = "no answer takes 2^53 microseconds")]
            latency_ms: latency_us as f64 / 1_000.0,
            cost_nano_usd: cost,
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
        }
    }
}

/// An error answer: what passes may be asked again, what is wrong with the request or the release stays wrong.
fn failed(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> AskFailed {
    let said = parse_error(body).map_or_else(|| format!("status {}", status.as_u16()), |error| error.message);
    let why = said[..said.floor_char_boundary(WHY_BYTES_MAX)].to_owned();
    let passes = matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error();
    if !passes {
        return AskFailed::Lasting(why);
    }
    let seconds = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    AskFailed::Passing { why, retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)) }
}
