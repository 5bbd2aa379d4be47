//! `[metrics]` and `[telemetry]` in pinrail.toml: what others' tools may see of the server, and where it is sent.

use super::section::Section;

/// How the server may be observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observe {
    /// `[metrics] open`: whoever reaches the server may read its metrics.
    pub metrics_open: bool,
    /// `[telemetry] otlp`: the collector's address.
    pub otlp: Option<String>,
    /// `[telemetry] content`: whether spans keep requests and answers.
    pub content: bool,
    /// `[telemetry] sample_ratio`: the share of traces that are recorded, of those that begin here.
    pub sample_ratio: Option<f64>,
}

/// Reads the settings; what isn't said stays at its default.
pub fn read(file: &Section<'_>) -> Observe {
    let metrics_open = file.table("metrics", |metrics| metrics.get("open")).unwrap_or_default();
    let telemetry = file.table("telemetry", |telemetry| Some(telemetry_of(telemetry)));
    Observe { metrics_open, ..telemetry.unwrap_or_default() }
}

fn telemetry_of(telemetry: &Section<'_>) -> Observe {
    let otlp: Option<String> = telemetry.get("otlp");
    if otlp.as_deref().is_some_and(|url| !is_address(url)) {
        telemetry.refuse("otlp", "must be an address such as \"http://127.0.0.1:4318\"");
    }
    let sample_ratio: Option<f64> = telemetry.get("sample_ratio");
    if sample_ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
        telemetry.refuse("sample_ratio", "must be 0.0 to 1.0");
    }
    let content = telemetry.get("content").unwrap_or_default();
    Observe { metrics_open: false, otlp, content, sample_ratio }
}

/// Whether a collector can be reached under this address.
pub fn is_address(url: &str) -> bool {
    let parsed: Option<http::Uri> = url.parse().ok();
    parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
