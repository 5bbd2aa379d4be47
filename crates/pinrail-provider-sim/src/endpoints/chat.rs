//! `POST /v1/chat/completions`: who answers, what goes wrong on the way, what is said, and how it travels.
//!
//! The fate of a request, in this order: hang, error, garbage; for streams also cut or stall. The first that happens
//! is the only one. Errors come after the first latency, as a busy provider's do.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::read_body;
use crate::answer::answer;
use crate::border;
use crate::draw::Draw;
use crate::failure::Failure;
use crate::playback::{self, Mishap, Pace};
use crate::reply::{self, Head, Told, Usage};
use crate::request::ChatRequest;
use crate::script::ErrorStatus;
use crate::sim::{InFlight, Sim};
use crate::world::{DAY_SECONDS, Serving};

/// Answers a chat request.
pub async fn complete(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    sim.check_key(&headers)?;
    let request = ChatRequest::parse(&read_body(body)?)?;
    let (serving, in_flight) = sim.admit(&request)?;
    let fate = Draw::new(sim.seed(), &serving.checkpoint.id, request.conversation(), Some(serving.repeat));
    let mut response = respond(&sim, &request, &serving, &fate, in_flight).await.into_response();
    let id =
        HeaderValue::from_str(&format!("req_{}", fate.hex("request"))).expect("hexadecimal digits are ASCII");
    response.headers_mut().insert("x-request-id", id);
    Ok(response)
}

async fn respond(
    sim: &Sim,
    request: &ChatRequest,
    serving: &Serving,
    fate: &Draw,
    in_flight: InFlight,
) -> Result<Response, Failure> {
    if request.logprobs.is_some() && !serving.checkpoint.logprobs {
        in_flight.finish(|count| count.errors += 1);
        let message = "This model does not support `logprobs`: leave it out";
        return Err(Failure::invalid("logprobs", message));
    }
    let pace = Pace::draw(&serving.checkpoint.latency, fate);
    if fate.happens("hang", serving.rates.hang_rate) {
        in_flight.note(|count| count.hung += 1);
        let hung = playback::hang(sim).await;
        in_flight.finish(|count| count.errors += 1);
        return hung.and(Err(Failure::injected(StatusCode::GATEWAY_TIMEOUT, None)));
    }
    if fate.happens("error", serving.rates.error_rate) {
        playback::wait(pace.first).await;
        in_flight.finish(|count| count.errors += 1);
        return Err(injected(&serving.error_statuses, fate));
    }
    let garbage = fate.happens("garbage", serving.rates.garbage_rate);
    playback::wait(pace.first).await;
    if request.stream {
        return stream(sim, request, serving, fate, in_flight, pace.per_token, garbage);
    }
    let (head, said, usage, told) = speak(sim, request, serving, fate);
    let tokens = u32::try_from(usage.completion).unwrap_or(u32::MAX);
    playback::wait(pace.per_token * tokens).await;
    in_flight.finish(|count| {
        count.completed += 1;
        count.garbage += u64::from(garbage);
    });
    if garbage {
        let page = "<html><body><h1>200 Not what you asked for</h1></body></html>\n";
        return Ok(([(header::CONTENT_TYPE, "text/html")], page).into_response());
    }
    Ok(Json(reply::completion(&head, &said, usage, told.as_ref())).into_response())
}

fn stream(
    sim: &Sim,
    request: &ChatRequest,
    serving: &Serving,
    fate: &Draw,
    in_flight: InFlight,
    per_token: Duration,
    garbage: bool,
) -> Result<Response, Failure> {
    let mishap = if garbage {
        Mishap::Garbage
    } else if fate.happens("cut", serving.rates.cut_stream_rate) {
        Mishap::Cut
    } else if fate.happens("stall", serving.rates.stall_rate) {
        Mishap::Stall
    } else {
        Mishap::None
    };
    let mut hanging = None;
    if mishap == Mishap::Stall {
        match sim.hang() {
            Ok(place) => hanging = Some(place),
            Err(full) => {
                in_flight.finish(|count| count.errors += 1);
                return Err(full);
            }
        }
    }
    in_flight.note(|count| {
        count.garbage += u64::from(garbage);
        count.hung += u64::from(mishap == Mishap::Stall);
    });
    let (head, said, usage, told) = speak(sim, request, serving, fate);
    let events = reply::events(&head, &said, request.include_usage.then_some(usage), told.as_ref());
    let frames = playback::plan(events, usage.completion, per_token, mishap);
    let body: Body = playback::body(frames, in_flight, hanging);
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, body).into_response())
}

fn speak(
    sim: &Sim,
    request: &ChatRequest,
    serving: &Serving,
    fate: &Draw,
) -> (Head, crate::answer::Answer, Usage, Option<Told>) {
    let checkpoint = &serving.checkpoint;
    let sampled = request.temperature > 0.0 || checkpoint.sampling;
    let draw =
        Draw::new(sim.seed(), &checkpoint.id, request.conversation(), sampled.then_some(serving.repeat));
    let day = sim.unix_seconds() / DAY_SECONDS;
    let next = border::next(request, checkpoint, sim.seed(), day, serving.repeat);
    let said = answer(request, checkpoint, &serving.rates, &draw, next.as_ref());
    let told = request.logprobs.map(|top| Told { top, next });
    let usage = Usage { prompt: request.prompt_tokens(), completion: said.tokens() };
    let head = Head {
        id: format!("chatcmpl-{}", fate.hex("completion")),
        created: sim.unix_seconds(),
        model: serving.shown.clone(),
        fingerprint: serving.fingerprint.clone(),
    };
    (head, said, usage, told)
}

fn injected(statuses: &[ErrorStatus], fate: &Draw) -> Failure {
    let total: u64 = statuses.iter().map(|status| u64::from(status.weight)).sum();
    let mut left = (fate.unit("status") * total as f64) as u64;
    for status in statuses {
        let weight = u64::from(status.weight);
        if left < weight {
            let code =
                StatusCode::from_u16(status.status).expect("a checked script has statuses from 400 to 599");
            return Failure::injected(code, status.retry_after_seconds);
        }
        left -= weight;
    }
    Failure::injected(StatusCode::INTERNAL_SERVER_ERROR, None)
}
