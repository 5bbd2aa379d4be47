//! Asks Prometheus, and what speaks its HTTP API, for one number: `GET URL/api/v1/query?query=…`.
//!
//! The values of a vector are added up; a scalar is taken as it is. Whatever is no number is said in a sentence: no answer in
//! time, another status than 2xx, an answer that is too long or isn't what the API says, no series, NaN. Redirects are
//! not followed, so a token goes where the settings say, or nowhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use pinrail_control::observe::MetricsSource;
use pinrail_gateway::port::Secrets;
use serde::Deserialize;
use serde_json::Value;

use crate::outbound::{HttpClient, client};

/// Asks over HTTP.
pub struct Prometheus {
    client: HttpClient,
    secrets: Arc<dyn Secrets>,
}

/// A query that takes longer is too heavy to be asked every few seconds.
const WAIT: Duration = Duration::from_secs(10);
/// Some thousand series; a sum over more belongs into the query.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What is repeated of an error's text.
const ERROR_CHARS_MAX: usize = 200;

/// The API's answer.
#[derive(Deserialize)]
struct Answered {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    value: Number,
}

/// A time and a number, as text.
#[derive(Deserialize)]
struct Number(#[expect(dead_code, reason = "when it was is not asked")] Value, String);

impl Prometheus {
    /// Sets up TLS. Tokens are read by their variable's name at each question, and kept nowhere (I15).
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>) -> Prometheus {
        Prometheus { client: client(), secrets }
    }

    fn request(
        &self,
        url: &str,
        query: &str,
        token_env: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}/api/v1/query?query={}", url.trim_end_matches('/'), encoded(query)))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("pinrail/", env!("CARGO_PKG_VERSION")));
        if let Some(name) = token_env {
            let token = self.secrets.secret(name);
            let token = token.ok_or_else(|| format!("the environment variable {name} is not set"))?;
            let bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            // The error would quote the token.
            let mut bearer = bearer.map_err(|_| format!("what {name} holds is no bearer token"))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        request.body(Full::default()).map_err(|error| format!("the address cannot be used: {error}"))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), String> {
        let answer = self.client.request(request).await;
        let answer =
            answer.map_err(|error| format!("it cannot be reached: {}", crate::problem::chain(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?;
        Ok((head.status.as_u16(), body.to_bytes()))
    }
}

#[async_trait]
impl MetricsSource for Prometheus {
    async fn sum(&self, url: &str, query: &str, token_env: Option<&str>) -> Result<f64, String> {
        let request = self.request(url, query, token_env)?;
        let answer = tokio::time::timeout(WAIT, self.answer(request)).await;
        let (status, body) = answer.map_err(|_| format!("no answer within {} s", WAIT.as_secs()))??;
        sum(status, &body)
    }
}

/// The number in an answer.
fn sum(status: u16, body: &[u8]) -> Result<f64, String> {
    let answered: Option<Answered> = serde_json::from_slice(body).ok();
    let is_success = (200..300).contains(&status);
    let answered = match answered {
        Some(answered) if is_success && answered.status == "success" => answered,
        Some(Answered { error: Some(error), .. }) => {
            let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
            return Err(format!("it answered {status}: {error}"));
        }
        Some(_) | None if !is_success => return Err(format!("it answered {status}")),
        Some(_) | None => return Err("its answer is not one of Prometheus's API".to_owned()),
    };
    let data = answered.data.ok_or("its answer holds no result")?;
    let unreadable = |_| "its result cannot be read".to_owned();
    let numbers: Vec<Number> = match data.kind.as_str() {
        "vector" => {
            let series: Vec<Series> = serde_json::from_value(data.result).map_err(unreadable)?;
            series.into_iter().map(|series| series.value).collect()
        }
        "scalar" => vec![serde_json::from_value(data.result).map_err(unreadable)?],
        _ => return Err("the query gives neither a vector nor a scalar".to_owned()),
    };
    if numbers.is_empty() {
        return Err("the query found no series; `or vector(0)` makes that a zero".to_owned());
    }
    let mut sum = 0.0;
    for Number(_, text) in numbers {
        // Rust reads `NaN` and `+Inf` as Prometheus writes them.
        let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
        sum += number;
    }
    if sum.is_finite() { Ok(sum) } else { Err(format!("the query gives {sum}")) }
}

/// A query as a part of an address.
fn encoded(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len() * 2);
    for byte in query.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::Router;
    use axum::extract::Query;
    use axum::routing::get;
    use http::{HeaderMap, StatusCode};
    use tokio::net::TcpListener;

    use super::*;

    struct Named;

    impl Secrets for Named {
        fn secret(&self, env_name: &str) -> Option<String> {
            (env_name == "PROMETHEUS_TOKEN").then(|| "t0ken".to_owned())
        }
    }

    /// A server on loopback that counts the characters of a query, for whoever has the token.
    async fn counting() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = |headers: HeaderMap, Query(asked): Query<HashMap<String, String>>| async move {
            if headers.get("authorization").is_none_or(|bearer| bearer != "Bearer t0ken") {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            let n = asked["query"].chars().count();
            let data = format!(r#"{{"resultType":"scalar","result":[1,"{n}"]}}"#);
            (StatusCode::OK, format!(r#"{{"status":"success","data":{data}}}"#))
        };
        let router = Router::new().route("/api/v1/query", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn a_server_is_asked_with_the_token_that_the_settings_name() {
        let (source, url) = (Prometheus::new(Arc::new(Named)), counting().await);
        let query = r#"sum(x{a="ä & b"}[9s]) + 1"#;
        let sum = source.sum(&url, query, Some("PROMETHEUS_TOKEN")).await;
        assert_eq!(sum, Ok(25.0));
        assert_eq!(source.sum(&url, query, None).await, Err("it answered 401".to_owned()));
        let unset = source.sum(&url, query, Some("OTHER")).await.unwrap_err();
        assert_eq!(unset, "the environment variable OTHER is not set");
        let away = source.sum("http://127.0.0.1:1", query, None).await.unwrap_err();
        assert!(away.starts_with("it cannot be reached"), "{away}");
    }

    #[test]
    fn an_answer_is_a_number_or_says_why_not() {
        let check = |status: u16, body: &str, expected: Result<f64, &str>| match (
            sum(status, body.as_bytes()),
            expected,
        ) {
            (Ok(sum), Ok(expected)) => assert!((sum - expected).abs() < 1e-9, "{body}: {sum}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{body}: {why}"),
            (got, _) => panic!("{body}: {got:?}"),
        };
        let data = |kind: &str, result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
        };
        let vector = r#"[{"metric":{"a":"b"},"value":[1.5,"12"]},{"metric":{},"value":[1.5,"0.5"]}]"#;
        check(200, &data("vector", vector), Ok(12.5));
        check(200, &data("scalar", r#"[1435781451.781,"3"]"#), Ok(3.0));
        check(200, &data("vector", "[]"), Err("or vector(0)"));
        check(200, &data("vector", r#"[{"metric":{},"value":[1,"NaN"]}]"#), Err("NaN"));
        check(200, &data("vector", r#"[{"metric":{},"value":[1,"+Inf"]}]"#), Err("inf"));
        check(200, &data("matrix", "[]"), Err("neither a vector nor a scalar"));
        check(200, &data("string", r#"[1,"x"]"#), Err("neither a vector nor a scalar"));
        let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
        check(400, bad, Err("it answered 400: parse error"));
        check(503, "<html>", Err("it answered 503"));
        check(200, "<html>", Err("not one of Prometheus's API"));
        check(200, "{}", Err("not one of Prometheus's API"));
    }

    #[test]
    fn a_query_is_one_part_of_an_address() {
        assert_eq!(encoded(r#"sum(x{a="1"}[9s])"#), "sum%28x%7Ba%3D%221%22%7D%5B9s%5D%29");
    }
}
