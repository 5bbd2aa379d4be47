//! `GET /api/v1/gates/{gate}/report`: why a gate ended as it did, for people, pull requests and CI.

use axum::body::Body;
use http::HeaderValue;
use http::header::X_CONTENT_TYPE_OPTIONS;
use pinrail_api::evidence::ReportFormat;
use pinrail_gate::report::{self, Page};
use serde::Deserialize;

use super::sealed;
use crate::call::Call;
use crate::reply::{Answer, with_type};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    format: ReportFormat,
}

pub async fn show(call: Call) -> Answer {
    let Query { format } = call.query()?;
    let sealed = sealed(&call).await?;
    if format == ReportFormat::Statement {
        return Ok(super::statement::response(sealed));
    }
    let (report, bytes) = sealed.report(&call).await?;
    let about = sealed.about();
    let page = Page { report: &report, about: &about, signed_by: sealed.signed_by() };
    let (content_type, body) = match format {
        ReportFormat::Text => ("text/plain; charset=utf-8", report::text(&page).into_bytes()),
        ReportFormat::Markdown => ("text/markdown; charset=utf-8", report::markdown(&page).into_bytes()),
        ReportFormat::Junit => ("application/xml", report::junit(&page).into_bytes()),
        ReportFormat::Json | ReportFormat::Statement => ("application/json", bytes),
    };
    let mut response = with_type(content_type, Body::from(body));
    // What models said stands in it.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
