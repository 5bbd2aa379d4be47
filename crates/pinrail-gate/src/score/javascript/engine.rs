//! One script in one engine.

use std::cell::Cell;
use std::rc::Rc;

use rquickjs::function::Rest;
use rquickjs::{Array, Coerced, Context, Ctx, Error, Function, Object, Promise, Runtime, Value as Js};
use serde_json::Value;

use super::source::Form;
use super::{JOBS_MAX, MEMORY_BYTES_MAX, RESULT_BYTES_MAX, Ran, STACK_BYTES_MAX, TICKS_MAX};
use crate::score::CannotScore;
use crate::score::judged::clip;

/// Runs a script, until it ends or uses more than it may, or `given_up` says that nobody waits for it.
pub(super) fn run(
    form: &Form,
    arguments: &str,
    given_up: impl Fn() -> bool + 'static,
) -> Result<Ran, CannotScore> {
    let runtime = Runtime::new().map_err(broken)?;
    runtime.set_memory_limit(MEMORY_BYTES_MAX);
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    let ticks = Rc::new(Cell::new(0_u32));
    let counted = Rc::clone(&ticks);
    runtime.set_interrupt_handler(Some(Box::new(move || {
        counted.set(counted.get().saturating_add(1));
        counted.get() > TICKS_MAX || given_up()
    })));
    let context = Context::full(&runtime).map_err(broken)?;
    context.with(|ctx| One { ctx: &ctx, ticks: &ticks }.run(form, arguments))
}

/// The script's turn in the engine.
struct One<'a, 'js> {
    ctx: &'a Ctx<'js>,
    ticks: &'a Cell<u32>,
}

/// What was thrown.
struct Thrown {
    name: String,
    message: String,
}

impl<'js> One<'_, 'js> {
    fn run(&self, form: &Form, arguments: &str) -> Result<Ran, CannotScore> {
        self.ctx.eval::<(), _>(CONSOLE).map_err(broken)?;
        let invoke: Function<'js> = self.ctx.eval(INVOKE).map_err(broken)?;
        let function = match form {
            Form::Function { body, names } => self.compile(names, body)?,
            Form::Declaration { splits } => self.compile_split(splits)?,
            Form::Module { body } => self.load(body)?,
        };
        let arguments = self.ctx.json_parse(arguments).and_then(|list| list.get::<Array<'js>>());
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(fault) => return Err(cannot(&self.thrown(&fault)?)),
        };
        let promise = invoke.call::<_, Promise<'js>>((function, arguments));
        match promise.and_then(|promise| self.settle(&promise)) {
            Ok(Some(value)) => self.returned(value),
            Ok(None) => Err(CannotScore::Script("the script waits for what never comes".to_owned())),
            Err(fault) => self.threw(&fault),
        }
    }

    /// Makes a function of a body; only a script that isn't JavaScript fails here.
    fn compile(&self, names: &[&str], body: &str) -> Result<Function<'js>, CannotScore> {
        let made = self.try_compile(names, body);
        made.map_err(|fault| self.thrown(&fault).map_or_else(|limit| limit, |thrown| cannot(&thrown)))
    }

    fn try_compile(&self, names: &[&str], body: &str) -> Result<Function<'js>, Error> {
        let compile: Function<'js> = self.ctx.eval(COMPILE)?;
        let words = names.iter().copied().chain([body]).map(str::to_owned).collect();
        compile.call((Rest::<String>(words),))
    }

    fn compile_split(&self, splits: &[(String, String)]) -> Result<Function<'js>, CannotScore> {
        for (head, tail) in splits {
            let whole = self.try_compile(&["output", "context"], &format!("{head} {tail}"));
            let both = [head, tail].iter().all(|part| self.try_compile(&["output", "context"], part).is_ok());
            // What didn't compile left an exception behind.
            drop(self.ctx.catch());
            if let Ok(function) = whole
                && both
                && tail.as_str() != "return "
            {
                return Ok(function);
            }
        }
        Err(CannotScore::Script("the script declares something and gives nothing back".to_owned()))
    }

    fn load(&self, body: &str) -> Result<Function<'js>, CannotScore> {
        let load: Function<'js> = self.ctx.eval(LOAD).map_err(broken)?;
        let module = self.compile(&["module", "exports"], body)?;
        match load.call::<_, Function<'js>>((module,)) {
            Ok(function) => Ok(function),
            Err(fault) => Err(self.thrown(&fault).map_or_else(|limit| limit, |thrown| cannot(&thrown))),
        }
    }

    /// Does the engine's jobs until the promise is settled. None: there are no more, or too many.
    fn settle(&self, promise: &Promise<'js>) -> Result<Option<Js<'js>>, Error> {
        for _ in 0..JOBS_MAX {
            if let Some(settled) = promise.result::<Js<'js>>() {
                return settled.map(Some);
            }
            if !self.ctx.execute_pending_job() {
                break;
            }
        }
        promise.result::<Js<'js>>().transpose()
    }

    fn returned(&self, value: Js<'js>) -> Result<Ran, CannotScore> {
        if value.is_undefined() || value.is_function() {
            return Ok(Ran::Returned(None));
        }
        let text = match self.ctx.json_stringify(value) {
            Ok(Some(text)) => text.to_string(),
            Ok(None) => return Ok(Ran::Returned(None)),
            Err(fault) => return self.threw(&fault),
        };
        let text =
            text.map_err(|_| CannotScore::Script("what the script returned isn't Unicode".to_owned()))?;
        if text.len() > RESULT_BYTES_MAX {
            return Err(CannotScore::Script("the script returned more than 1 MiB".to_owned()));
        }
        Ok(match serde_json::from_str::<Value>(&whole(&text)) {
            Ok(value) => Ran::Returned(Some(value)),
            Err(fault) => Ran::Threw(format!("what it returned isn't JSON: {fault}")),
        })
    }

    /// What a script that threw says: something about the answer, unless the script itself is at fault.
    fn threw(&self, fault: &Error) -> Result<Ran, CannotScore> {
        let thrown = self.thrown(fault)?;
        if thrown.name == "ReferenceError" {
            Err(cannot(&thrown))
        } else {
            Ok(Ran::Threw(thrown.to_string()))
        }
    }

    /// What was thrown, unless a limit did it.
    fn thrown(&self, fault: &Error) -> Result<Thrown, CannotScore> {
        let limit = |what: &str| Err(CannotScore::Script(format!("the script {what}")));
        let value = self.ctx.catch();
        if self.ticks.get() > TICKS_MAX {
            return limit("takes too many steps");
        }
        if !fault.is_exception() {
            return Err(CannotScore::Script(format!("the script can't run: {fault}")));
        }
        let text = |value: Js<'js>| value.get::<Coerced<String>>().map(|text| text.0).unwrap_or_default();
        let thrown = match value.as_object() {
            Some(object) => Thrown { name: property(object, "name"), message: property(object, "message") },
            None if value.is_null() || value.is_undefined() => return limit("uses too much memory"),
            None => Thrown { name: "thrown".to_owned(), message: text(value) },
        };
        // Saying what it is may have been the script's as well.
        if self.ticks.get() > TICKS_MAX {
            return limit("takes too many steps");
        }
        match (thrown.name.as_str(), thrown.message.as_str()) {
            ("InternalError", "out of memory") => limit("uses too much memory"),
            ("RangeError", "Maximum call stack size exceeded") => limit("calls too deep"),
            ("InternalError", what) => limit(&format!("is beyond the engine: {what}")),
            _ => Ok(thrown),
        }
    }
}

impl std::fmt::Display for Thrown {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}: {}", clip(&self.name, 60), clip(&self.message, 300))
    }
}

fn property<'js>(object: &Object<'js>, name: &str) -> String {
    object.get::<_, Coerced<String>>(name).map(|text| text.0).unwrap_or_default()
}

/// The JSON with halves of characters, which JavaScript can have and writes as `\ud83d`, put right.
fn whole(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let half = escape.starts_with("\\ud") && escape.as_bytes().get(3).is_some_and(|digit| *digit >= b'8');
        let (instead, length) = if half { ("\u{fffd}", 6) } else { (&escape[..2], 2) };
        text.push_str(&rest[..at]);
        text.push_str(instead);
        rest = &escape[length..];
    }
    text + rest
}

fn cannot(thrown: &Thrown) -> CannotScore {
    CannotScore::Script(format!("the script is at fault: {thrown}"))
}

fn broken(fault: Error) -> CannotScore {
    CannotScore::Script(format!("the script engine doesn't start: {fault}"))
}

const CONSOLE: &str = "globalThis.console = Object.fromEntries(
    ['log', 'info', 'warn', 'error', 'debug'].map((name) => [name, () => {}]));";

const COMPILE: &str = "(...words) => Function(...words)";

/// Whatever the function does, it ends as a promise.
const INVOKE: &str = "async (run, list) => run(...list)";

const LOAD: &str = "(body) => {
    const module = { exports: {} };
    body(module, module.exports);
    const exported = module.exports;
    if (typeof exported === 'function') return exported;
    if (exported && typeof exported.default === 'function') return exported.default;
    const functions = Object.values(exported ?? {}).filter((one) => typeof one === 'function');
    if (functions.length === 1) return functions[0];
    throw new TypeError('a module exports one function');
}";
