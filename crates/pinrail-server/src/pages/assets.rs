//! `/assets/{name}`: what pages load.

use axum::body::Body;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use pinrail_dashboard::assets;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let asset = assets::find(call.text("name")).ok_or_else(|| {
        problem::not_found("such file", "load the page anew: its files may have new addresses")
    })?;
    let mut response = reply::with_type(asset.content_type, Body::from(asset.bytes));
    // Its address changes with its content.
    let keep = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, keep);
    Ok(response)
}
