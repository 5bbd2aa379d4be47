//! Our own errors, in the form of the client's dialect: what happened, whose fault it was, whether a retry may help.
//!
//! A failure's message has the cause and the next step. `x-pinrail-fault` names who has to act, and
//! `x-should-retry` tells the official client libraries whether trying again makes sense.

use std::borrow::Cow;
use std::error::Error;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use pinrail_domain::dial::Position;
use pinrail_domain::id::RunId;
use pinrail_domain::journal::{FaultOf, RunStatus};
use pinrail_wire::Dialect;
use pinrail_wire::dialect::Told;
use pinrail_wire::redact::Redactor;

use crate::body::Body;
use crate::port::BeginError;

/// Why a call gets no answer from a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    pub fault: FaultOf,
    /// Stable: programs decide by it.
    pub code: &'static str,
    /// The cause and the next step.
    pub message: String,
    /// The field, header or parameter at fault.
    pub param: Option<Cow<'static, str>>,
    /// Whether the same call may work later, and after how many seconds.
    pub retry: Retry,
    /// The run, where the failure came before its stamp was known.
    pub run: Option<RunId>,
    /// Where the dial stands that lets nothing through.
    pub dial: Option<Position>,
    /// The message repeats a part of a body, which an agent's journal may not be allowed to keep.
    pub quotes: bool,
}

/// Whether sending the same call again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    After { seconds: u32 },
}

/// The code of what is at its limit.
pub const BUSY: &str = "busy";
/// A message may quote what the client sent, which may be long.
const MESSAGE_BYTES_MAX: usize = 4_096;
const PARAM_BYTES_MAX: usize = 256;

/// Names whose fault an error is.
pub const FAULT: HeaderName = HeaderName::from_static("x-pinrail-fault");
/// Obeyed by the official libraries of OpenAI and Anthropic, which else retry every 409 and 5xx.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl Failure {
    /// The caller's mistake.
    pub fn client(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure::new(status, FaultOf::Client, code, message.into())
    }

    /// Ours, or that of who set Pinrail up.
    pub fn pinrail(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure::new(status, FaultOf::Pinrail, code, message.into())
    }

    /// The provider's.
    pub fn provider(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure::new(status, FaultOf::Provider, code, message.into())
    }

    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Failure {
        Failure::client(StatusCode::BAD_REQUEST, code, message)
    }

    /// Something is at its limit; later may work.
    pub fn busy(what: &str, limit: u64) -> Failure {
        let message = format!("{what} is at its limit of {limit}; try again in a moment");
        Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, BUSY, message).retry_after(1)
    }

    pub fn about(mut self, param: impl Into<Cow<'static, str>>) -> Failure {
        let mut param = param.into();
        if param.len() > PARAM_BYTES_MAX {
            let end = param.floor_char_boundary(PARAM_BYTES_MAX);
            param.to_mut().truncate(end);
        }
        self.param = Some(param);
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Failure {
        self.retry = Retry::After { seconds };
        self
    }

    /// The message repeats a part of a body.
    pub fn quoting(mut self) -> Failure {
        self.quotes = true;
        self
    }

    fn of_run(mut self, run: RunId) -> Failure {
        self.run = Some(run);
        self
    }

    fn new(status: StatusCode, fault: FaultOf, code: &'static str, mut message: String) -> Failure {
        if message.len() > MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
            message.push('…');
        }
        Failure {
            status,
            fault,
            code,
            message,
            param: None,
            retry: Retry::Never,
            run: None,
            dial: None,
            quotes: false,
        }
    }

    /// OpenAI's `type` of the error.
    pub fn kind(&self) -> &'static str {
        match self.fault {
            FaultOf::Client => "invalid_request_error",
            FaultOf::Pinrail => "pinrail_error",
            FaultOf::Provider => "provider_error",
        }
    }

    /// The answer that a client of this dialect gets.
    pub fn into_response(self, dialect: Dialect) -> Response<Body> {
        let body = dialect.error_body(&Told {
            status: self.status.as_u16(),
            message: &self.message,
            kind: self.kind(),
            code: Some(self.code),
            param: self.param.as_deref(),
        });
        let mut response = Response::new(Body::whole(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(FAULT, fault_value(self.fault));
        match self.retry {
            Retry::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Retry::After { seconds } => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("true"));
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED
            && let Some(method) = self.param.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok())
        {
            headers.insert(ALLOW, method);
        }
        if let Some(position) = self.dial {
            headers.insert(crate::stamped::DIAL, HeaderValue::from_static(position.word()));
        }
        if let Some(run) = self.run {
            headers.insert(crate::stamped::RUN, crate::stamped::value(&run));
        }
        response
    }
}

/// The value of [`FAULT`].
pub fn fault_value(fault: FaultOf) -> HeaderValue {
    HeaderValue::from_static(match fault {
        FaultOf::Client => "client",
        FaultOf::Pinrail => "pinrail",
        FaultOf::Provider => "provider",
    })
}

/// An error with its whole chain of causes on one line, secrets removed (I15).
pub fn chain(error: &(dyn Error + 'static), redactor: &Redactor) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    redactor.redact(&text).into_owned()
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Failure {
        let said = chain(&error, &Redactor::default());
        let refuse = |status, code, next: &str| Failure::client(status, code, format!("{said}; {next}"));
        let ours = |code, next: &str| {
            Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, code, format!("{said}; {next}"))
        };
        match error {
            BeginError::NoAgent(_) => {
                let next = "`model` names an agent: GET /v1/models lists them";
                refuse(StatusCode::NOT_FOUND, "model_not_found", next).about("model")
            }
            BeginError::NothingActive { agent, .. } => ours(
                "nothing_active",
                &format!("put one in front of it with `pinrail deploy {agent}=RELEASE --now`"),
            )
            .about("model"),
            BeginError::Dialled(halted) => {
                let next = "`pinrail dial show` says where it stands, and who may turn it up";
                let mut failure = ours("dialled", next)
                    .about("model")
                    .retry_after(u32::try_from(halted.retry_after_s).unwrap_or(u32::MAX));
                failure.dial = Some(halted.position);
                failure
            }
            BeginError::NoRun(_) => {
                refuse(StatusCode::NOT_FOUND, "run_not_found", "leave the run out to begin a new one")
                    .about("x-pinrail-run")
            }
            BeginError::OtherAgent { .. } => {
                refuse(StatusCode::CONFLICT, "run_of_other_agent", "begin a run of its own for this agent")
                    .about("x-pinrail-run")
            }
            BeginError::NotRunning { run, status } => {
                refuse(StatusCode::CONFLICT, "run_not_running", &to_run_again(run, status))
                    .about("x-pinrail-run")
                    .of_run(run)
            }
            BeginError::OtherSession { run } => {
                let next = "name the run's own session, or none";
                refuse(StatusCode::CONFLICT, "run_of_other_session", next)
                    .about("x-pinrail-session")
                    .of_run(run)
            }
            BeginError::PinGone { run, .. } => {
                let next = "no other model answers in its place: deploy a release whose model is served, then \
                            begin a new run";
                let message = format!("{said}; {next}");
                Failure::pinrail(StatusCode::CONFLICT, "pin_gone", message).of_run(run)
            }
            BeginError::Release { .. } => {
                ours("release_unloadable", "check the server's store with `pinrail doctor`")
            }
            BeginError::Busy { what, limit } => Failure::busy(what, limit),
            BeginError::Stale { .. } => {
                ours("stale", "another replica may answer: send it again").retry_after(1)
            }
            BeginError::Journal(_) => {
                ours("journal_unwritable", "check the server's disk with `pinrail doctor`").retry_after(5)
            }
        }
    }
}

/// What to do about a run that takes no calls in its status.
fn to_run_again(run: RunId, status: RunStatus) -> String {
    let resume = format!("`pinrail run resume {run}` or POST /api/v1/runs/{run}/resume");
    match status {
        RunStatus::Queued => format!("start it first ({resume})"),
        RunStatus::Paused | RunStatus::Parked => {
            format!("resume it ({resume}), or leave the run out to begin a new one")
        }
        RunStatus::Running => "send the call again".to_owned(),
        RunStatus::Finished => {
            "a finished run takes no more calls: leave the run out to begin a new one, or create \
                                one with POST /api/v1/runs"
                .to_owned()
        }
    }
}
