//! What a release, a deployment, a run and a view are, and every decision about them.
//!
//! Nothing here reads a clock, does I/O, draws randomness or is async: those arrive as arguments.
//! Start reading at [`model`].

pub mod model;
pub mod time;
