//! JavaScript: assertions, transforms and patterns, in an engine that reaches nothing.
//!
//! Each script gets an engine of its own (QuickJS) in a thread of its own, with no modules, files, network or processes:
//! the language and nothing else. What a script may use is counted in steps rather than in time, so that it ends the same
//! on a fast machine and on a slow one; a limit in time is behind it for what the engine does without counting. A script
//! over a limit is stopped, and so is one whose promise nothing resolves: nobody knows then how good the answer is.
//!
//! A script that *throws* says something about the answer (`JSON.parse(output).total > 3` on an answer that isn't JSON),
//! so its assertion fails. A script that can't be compiled, or that names what doesn't exist, says nothing about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::CannotScore;

mod engine;
mod source;

/// A script and what it is called with.
pub(super) struct Script {
    form: source::Form,
    /// The arguments' JSON, a list.
    arguments: String,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ran {
    /// With this; none: with nothing, or with what isn't JSON.
    Returned(Option<Value>),
    /// It threw this.
    Threw(String),
}

/// Which patterns are found in which texts.
#[derive(Debug, Default)]
pub(super) struct Matches {
    patterns: Vec<String>,
    texts: Vec<String>,
    found: Vec<Vec<bool>>,
}

impl Script {
    /// An assertion: an expression, a function's body of several lines, or a module that exports a function.
    pub fn assertion(code: &str, output: &Value, context: &Value) -> Script {
        Script { form: source::assertion(code), arguments: json!([output, context]).to_string() }
    }

    /// A transform: the same, only that one line is never more than an expression.
    pub fn transform(code: &str, output: &Value, context: &Value) -> Script {
        Script { form: source::transform(code), arguments: json!([output, context]).to_string() }
    }
}

impl Matches {
    /// Whether the pattern is found in the text, if both were tried.
    pub fn matches(&self, pattern: &str, text: &str) -> bool {
        let pattern = self.patterns.iter().position(|one| one == pattern);
        let text = self.texts.iter().position(|one| one == text);
        pattern.zip(text).is_some_and(|(pattern, text)| self.found[pattern][text])
    }
}

/// Runs a script to its end.
pub(super) async fn run(script: Script) -> Result<Ran, CannotScore> {
    let _turn = ENGINES.acquire().await.expect("nothing closes the semaphore");
    let ran = tokio::task::spawn_blocking(move || in_a_thread(script)).await;
    ran.unwrap_or_else(|_| Err(CannotScore::Script("the script engine broke".to_owned())))
}

/// Tries each pattern on each text, as JavaScript's `RegExp.test` does.
pub(super) async fn patterns(patterns: Vec<String>, texts: Vec<String>) -> Result<Matches, CannotScore> {
    let arguments = json!([patterns, texts]).to_string();
    let form = source::Form::Function { body: PATTERNS.to_owned(), names: ["patterns", "texts"] };
    match run(Script { form, arguments }).await? {
        Ran::Returned(Some(found)) => {
            let found = serde_json::from_value(found).expect("the script returns a table of booleans");
            Ok(Matches { patterns, texts, found })
        }
        Ran::Returned(None) => Err(CannotScore::Script("the patterns gave nothing".to_owned())),
        Ran::Threw(why) => Err(CannotScore::Script(format!("regex: {why}"))),
    }
}

/// Steps: jumps back, calls, and steps of patterns, which the engine counts by ten thousands. Fifty million are about a
/// second; an assertion that walks through a megabyte takes one.
const TICKS_MAX: u32 = 5_000;

/// What a script may hold. Some sixty times the largest answer that a provider gives.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// How deep a script may call: some thousand calls. The thread has more, for the engine's own use.
const STACK_BYTES_MAX: usize = 512 << 10;
const THREAD_STACK_BYTES: usize = 4 << 20;

/// Promises that a script may have resolved for it.
const JOBS_MAX: u32 = 10_000;

/// What a script may return, as JSON.
const RESULT_BYTES_MAX: usize = 1 << 20;

/// When a script that doesn't count its steps is given up.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Engines at work at the same time; more only take each other's time.
static ENGINES: Semaphore = Semaphore::const_new(4);

/// Threads that were given up and still run. Nothing can end them, so that there must not be many.
static STRAYS: AtomicIsize = AtomicIsize::new(0);
const STRAYS_MAX: isize = 8;

const RUNNING: u8 = 0;
const GIVEN_UP: u8 = 1;
const DONE: u8 = 2;

/// Runs the script in a thread that can be left behind: one that is waited for would keep the process from ending.
fn in_a_thread(script: Script) -> Result<Ran, CannotScore> {
    if STRAYS.load(Ordering::SeqCst) >= STRAYS_MAX {
        let why = "too many scripts ran into their time limit and can't be stopped: restart the server";
        return Err(CannotScore::Script(why.to_owned()));
    }
    let state = Arc::new(AtomicU8::new(RUNNING));
    let (send, receive) = mpsc::sync_channel(1);
    let theirs = Arc::clone(&state);
    let work = move || {
        let watched = Arc::clone(&theirs);
        let given_up = move || watched.load(Ordering::SeqCst) == GIVEN_UP;
        let ran = engine::run(&script.form, &script.arguments, given_up);
        // Nobody takes it if the thread was given up.
        let _ = send.send(ran);
        if theirs.swap(DONE, Ordering::SeqCst) == GIVEN_UP {
            STRAYS.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let thread =
        std::thread::Builder::new().name("gate-script".to_owned()).stack_size(THREAD_STACK_BYTES).spawn(work);
    if let Err(fault) = thread {
        return Err(CannotScore::Script(format!("no thread for the script: {fault}")));
    }
    match receive.recv_timeout(TIME_MAX) {
        Ok(ran) => ran,
        Err(RecvTimeoutError::Disconnected) => Err(CannotScore::Script("the script engine broke".to_owned())),
        Err(RecvTimeoutError::Timeout) => {
            if state.compare_exchange(RUNNING, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                STRAYS.fetch_add(1, Ordering::SeqCst);
            }
            Err(CannotScore::Script(format!("the script ran for over {} s", TIME_MAX.as_secs())))
        }
    }
}

const PATTERNS: &str = "return patterns.map((pattern) => {
    const compiled = new RegExp(pattern);
    return texts.map((text) => compiled.test(text));
});";
