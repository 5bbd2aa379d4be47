//! How a request for an answer is served, in any dialect: who answers, what goes wrong on the way, what is said, and how
//! it travels.
//!
//! The fate of a request, in this order: hang, error, garbage; for streams also cut, stall or an error event. The first
//! that happens is the only one. Errors come after the first latency, as a busy provider's do.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::answer::answer;
use crate::border;
use crate::dialect::responses::Kept;
use crate::dialect::{Asked, Dialect, Event, Spoken, Told, Usage, Wish, request_id};
use crate::draw::Draw;
use crate::endpoints::read_body;
use crate::failure::Failure;
use crate::playback::{self, Mishap, Pace};
use crate::request::{Message, Request, Role};
use crate::script::ErrorStatus;
use crate::sim::{InFlight, Sim};
use crate::world::{DAY_SECONDS, Serving};

/// Serves a request in a dialect, refusals included.
pub async fn serve(
    sim: &Sim,
    dialect: Dialect,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A request that isn't let in has no fate yet; its id comes from its bytes.
    let mut luck = Draw::new(sim.seed(), "", body.as_deref().map_or(0, xxh3_64), None);
    let answered = admitted(sim, dialect, headers, body, &mut luck).await;
    let id = request_id(&luck);
    let mut response = answered.unwrap_or_else(|failure| dialect.refuse(failure, &id));
    let name = HeaderName::from_static(dialect.request_id_header());
    let id = HeaderValue::from_str(&id).expect("hexadecimal digits are ASCII");
    response.headers_mut().insert(name, id);
    response
}

async fn admitted(
    sim: &Sim,
    dialect: Dialect,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    luck: &mut Draw,
) -> Result<Response, Failure> {
    sim.check_key(headers)?;
    let asked = dialect.read(sim, headers, &read_body(body)?)?;
    let (serving, in_flight) = sim.admit(&asked.request)?;
    let conversation = asked.request.conversation();
    let fate = Draw::new(sim.seed(), &serving.checkpoint.id, conversation, Some(serving.repeat));
    *luck = fate;
    respond(sim, dialect, asked, &serving, &fate, in_flight).await
}

async fn respond(
    sim: &Sim,
    dialect: Dialect,
    asked: Asked,
    serving: &Serving,
    fate: &Draw,
    in_flight: InFlight,
) -> Result<Response, Failure> {
    if asked.request.logprobs.is_some() && !serving.checkpoint.logprobs {
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
    if asked.request.stream {
        let spoken = speak(sim, &asked.request, serving, fate);
        let mishap = draw_mishap(dialect, &asked.wish, &spoken, serving, fate, garbage);
        return stream(sim, asked, &spoken, pace, mishap, in_flight);
    }
    let spoken = speak(sim, &asked.request, serving, fate);
    let tokens = u32::try_from(spoken.usage.completion).unwrap_or(u32::MAX);
    playback::wait(pace.per_token * tokens).await;
    in_flight.finish(|count| {
        count.completed += 1;
        count.garbage += u64::from(garbage);
    });
    if garbage {
        let page = "<html><body><h1>200 Not what you asked for</h1></body></html>\n";
        return Ok(([(header::CONTENT_TYPE, "text/html")], page).into_response());
    }
    let whole = asked.wish.whole(&spoken);
    keep(sim, &asked.wish, &spoken);
    Ok(Json(whole).into_response())
}

fn draw_mishap(
    dialect: Dialect,
    wish: &Wish,
    spoken: &Spoken,
    serving: &Serving,
    fate: &Draw,
    garbage: bool,
) -> Planned {
    let mishap = if garbage {
        Mishap::Last(dialect.broken_event())
    } else if fate.happens("cut", serving.rates.cut_stream_rate) {
        Mishap::Cut
    } else if fate.happens("stall", serving.rates.stall_rate) {
        Mishap::Stall
    } else {
        Mishap::None
    };
    let events = wish.events(spoken);
    let fails = mishap == Mishap::None && fate.happens("stream error", serving.rates.stream_error_rate);
    if fails {
        let failure = injected(&serving.error_statuses, fate);
        let mishap = Mishap::Last(wish.failed(spoken, &failure, playback::half(events.len())));
        return Planned { events, mishap, garbage, fails };
    }
    Planned { events, mishap, garbage, fails }
}

/// A stream's events, and what becomes of them.
struct Planned {
    events: Vec<Event>,
    mishap: Mishap,
    garbage: bool,
    /// Whether the mishap is an error event.
    fails: bool,
}

fn stream(
    sim: &Sim,
    asked: Asked,
    spoken: &Spoken,
    pace: Pace,
    planned: Planned,
    in_flight: InFlight,
) -> Result<Response, Failure> {
    let stalls = planned.mishap == Mishap::Stall;
    let hanging = match stalls.then(|| sim.hang()).transpose() {
        Ok(hanging) => hanging,
        Err(full) => {
            in_flight.finish(|count| count.errors += 1);
            return Err(full);
        }
    };
    in_flight.note(|count| {
        count.garbage += u64::from(planned.garbage);
        count.hung += u64::from(stalls);
        count.errors += u64::from(planned.fails);
    });
    keep(sim, &asked.wish, spoken);
    let frames = playback::plan(planned.events, pace.per_token, planned.mishap);
    let body: Body = playback::body(frames, in_flight, hanging);
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, body).into_response())
}

fn speak(sim: &Sim, request: &Request, serving: &Serving, fate: &Draw) -> Spoken {
    let checkpoint = &serving.checkpoint;
    let sampled = request.temperature > 0.0 || checkpoint.sampling;
    let draw =
        Draw::new(sim.seed(), &checkpoint.id, request.conversation(), sampled.then_some(serving.repeat));
    let day = sim.unix_seconds() / DAY_SECONDS;
    let next = border::next(request, checkpoint, sim.seed(), day, serving.repeat);
    let answer = answer(request, checkpoint, &serving.rates, &draw, next.as_ref());
    let mut usage = Usage {
        prompt: request.prompt_tokens(),
        completion: answer.tokens(),
        thought: answer.thought_tokens(),
        ..Usage::default()
    };
    if request.cached {
        // All but the last message is taken for marked; the cache has it from the second sending on.
        let marked = usage.prompt - request.messages.last().map_or(0, Message::prompt_tokens);
        let part = if serving.repeat == 0 { &mut usage.cache_written } else { &mut usage.cache_read };
        *part = marked;
    }
    Spoken {
        told: request.logprobs.map(|top| Told { top, next }),
        answer,
        usage,
        created: sim.unix_seconds(),
        model: serving.shown.clone(),
        fingerprint: serving.fingerprint.clone(),
        fate: *fate,
        seed: sim.seed(),
    }
}

/// Keeps a response that a later request may go on from.
fn keep(sim: &Sim, wish: &Wish, spoken: &Spoken) {
    let Wish::Responses(wish) = wish else { return };
    if wish.store {
        let mut context = wish.context.clone();
        context.push(as_message(spoken));
        sim.responses().keep(Kept { response: crate::dialect::responses::response(wish, spoken), context });
    }
}

fn as_message(spoken: &Spoken) -> Message {
    use crate::answer::Said;
    use crate::request::CallMade;
    match &spoken.answer.said {
        Said::Text(text) | Said::Refusal(text) => Message::text(Role::Assistant, text),
        Said::Calls(calls) => {
            let made = |call: &crate::answer::Call| CallMade {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            };
            Message { calls: calls.iter().map(made).collect(), ..Message::text(Role::Assistant, "") }
        }
    }
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
