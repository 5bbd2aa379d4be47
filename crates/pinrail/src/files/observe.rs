//! `[metrics]` in pinrail.toml: what others' tools may see of the server.

use super::section::Section;

/// How the server may be observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observe {
    /// `[metrics] open`: whoever reaches the server may read its metrics.
    pub metrics_open: bool,
}

/// Reads the settings; what isn't said stays at its default.
pub fn read(file: &Section<'_>) -> Observe {
    let metrics_open = file.table("metrics", |metrics| metrics.get("open"));
    Observe { metrics_open: metrics_open.unwrap_or_default() }
}
