//! A model provider that is simulated: an HTTP server in OpenAI's and Anthropic's formats whose behaviour a script decides.
//!
//! It is for people who want to try Pinrail without a provider's key, and for tests and demonstrations that need a
//! provider which errs, drifts, stalls and refuses exactly as told. It says what it is: `GET /` explains, and every
//! answer carries the header `x-pinrail-sim: 1`.
//!
//! It must not read the clock or the environment (waits go through `tokio::time`, timestamps come from the function
//! given to [`Sim::new`]), must not know any other part of Pinrail, and must not let the arrival order of different
//! conversations change an answer (`draw` says exactly what an answer depends on).
//!
//! Start reading at `builtin.toml`, the script that documents itself; then `answer` (what is said), `world` (who says
//! it), `serve` (how it travels) and `dialect` (how it is written).

mod answer;
mod border;
mod dialect;
mod draw;
mod endpoints;
mod failure;
mod limits;
mod playback;
mod request;
mod script;
mod serve;
mod sim;
mod thought;
mod tokens;
mod world;

pub use answer::task::Task;
pub use limits::*;
pub use script::{
    Alias, Checkpoint, ErrorStatus, Latency, Policy, Rate, Rates, Script, ScriptError, Scripted,
    ScriptedTool, Swap, ToolHabits, Verbosity,
};
pub use sim::{Sim, UnixSeconds};
pub use world::counters::{Counters, ModelCount};
