//! Finds the models that a code base names, and says which of them can move, have ended or will end soon.
//!
//! What this crate is for: walking a tree as grep does, reading source, configuration and notebooks far enough to tell
//! how a string is used, and judging the model ids with the catalogue of `pinrail-domain`. What it must not do: read a
//! clock or the environment (`now` is an argument), ask a server, or change a file unless [`fix`] is called.
//!
//! How a file is read, in two stages:
//! 1. [`family`]'s literals are searched in the bytes, as grep would do it. Most files end here.
//! 2. [`lex`] tells strings from comments, [`extract`] finds ids in the strings, [`usage`] says how each one is used and
//!    so how sure it is that a provider is sent this id, and [`judge`] asks the catalogue.
//!
//! Start reading at [`scan`].

pub mod baseline;
pub mod directive;
pub mod extract;
pub mod family;
pub mod finding;
pub mod fix;
pub mod judge;
pub mod language;
pub mod lex;
pub mod notebook;
pub mod position;
pub mod report;
pub mod rule;
pub mod scan;
pub mod usage;
pub mod walk;

pub use baseline::Baseline;
pub use finding::{Confidence, Finding, Suppression};
pub use rule::Rule;
pub use scan::{Options, Report, Skipped, scan};
