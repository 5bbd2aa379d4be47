//! `/theme`: light, dark, or as the browser says, in a cookie.

use http::HeaderValue;
use http::header::{HeaderMap, SET_COOKIE};
use pinrail_dashboard::Theme;
use serde::Deserialize;

use super::answer::see_other;
use super::login::local;
use super::{form, session};
use crate::call::Call;
use crate::reply::Answer;

#[derive(Deserialize)]
struct Wish {
    theme: Option<String>,
    next: Option<String>,
}

const COOKIE_NAME: &str = "pinrail_theme";

pub async fn set(call: Call) -> Answer {
    let Wish { theme, next } = form::typed(&call)?;
    let theme = theme.as_deref().and_then(named).unwrap_or_default();
    let mut response = see_other(&local(next.as_deref()));
    let cookie = format!("{COOKIE_NAME}={}; Path=/; SameSite=Lax; Max-Age=31536000", theme.as_str());
    let cookie = HeaderValue::from_str(&cookie).expect("a cookie is visible ASCII");
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// What the request's cookie says.
pub fn of(headers: &HeaderMap) -> Option<Theme> {
    session::cookie(headers, COOKIE_NAME).and_then(named)
}

fn named(name: &str) -> Option<Theme> {
    [Theme::Auto, Theme::Light, Theme::Dark].into_iter().find(|theme| theme.as_str() == name)
}
