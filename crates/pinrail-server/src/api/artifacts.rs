//! Artifacts: immutable bytes, named by their digest.

pub mod get;
pub mod post;
