//! `GET /metrics`: what Prometheus scrapes, in its own text format or, for who asks for that, OpenMetrics.

use axum::body::Body;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};
use pinrail_api::problem::{Code, Problem};
use pinrail_telemetry::metrics::Format;

use crate::call::Call;
use crate::metrics;
use crate::reply::{Answer, with_type};

/// The address, which `[metrics] open` lets everyone read who reaches the server.
pub const PATH: &str = "/metrics";

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub async fn show(call: Call) -> Answer {
    let format = format(&call.head.headers);
    let page = metrics::page(&call.state).await;
    let text = tokio::task::spawn_blocking(move || page.text(format)).await;
    let text = text.map_err(|_| {
        Problem::new(Code::Internal, "the page could not be written; the server's log says why")
            .next_step("report the log line; what GET /api/v1/status says doesn't depend on this page")
    })?;
    let content_type = match format {
        Format::Prometheus => PROMETHEUS,
        Format::OpenMetrics => OPENMETRICS,
    };
    let mut response = with_type(content_type, Body::from(text));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// OpenMetrics where it is accepted and not less than plain text is.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut plain) = (0.0, 0.0);
    for range in accepted.flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0_f64);
        match name {
            "application/openmetrics-text" => open = quality.max(open),
            "text/plain" | "text/*" => plain = quality.max(plain),
            _ => {}
        }
    }
    if open > 0.0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_scraper_likes_best() {
        let check = |accept: &'static str, expected: Format| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(format(&headers), expected, "{accept}");
        };
        check("", Format::Prometheus);
        check("*/*", Format::Prometheus);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus);
        check("application/openmetrics-text", Format::OpenMetrics);
        // As Prometheus 2 and 3 ask.
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        );
        check("text/plain;version=0.0.4, application/openmetrics-text;q=0.1", Format::Prometheus);
        check("application/openmetrics-text;q=0", Format::Prometheus);
    }
}
