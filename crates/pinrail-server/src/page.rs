//! `GET /`: what this is, for a person who opens it in a browser.

use axum::body::Body;

use crate::call::Call;
use crate::reply::{Answer, with_type};

const PAGE: &str = include_str!("page.html");

pub async fn show(_call: Call) -> Answer {
    Ok(with_type("text/html; charset=utf-8", Body::from(PAGE)))
}
