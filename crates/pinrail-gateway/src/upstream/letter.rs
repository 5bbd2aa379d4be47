//! A request as one provider takes it: its address, and the body with what that provider wants different.
//!
//! Amazon and Google name the model in the address and the version of the API in the body. Amazon has the opted-in features
//! (`anthropic-beta`) in the body too, and counts tokens of a request that is wrapped whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http::{StatusCode, Uri};
use pinrail_domain::provider::Format;
use serde_json::{Value, json};

use super::Upstream;
use super::address::NoAddress;
use super::reshape::Reshape;
use super::target::{Endpoint, Target};
use crate::failure::Failure;

/// What is sent, but for the headers.
pub struct Letter {
    pub uri: Uri,
    pub body: Bytes,
}

/// Opts in to features of Anthropic's API.
pub const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

const BEDROCK_VERSION: (&str, &str) = ("anthropic_version", "\"bedrock-2023-05-31\"");
const VERTEX_VERSION: (&str, &str) = ("anthropic_version", "\"vertex-2023-10-16\"");

impl Upstream {
    /// Addresses a body in the endpoint's dialect. Its `model` becomes the target's.
    pub fn letter(&self, target: &Target<'_>, headers: &HeaderMap, body: &Bytes) -> Result<Letter, Failure> {
        let uri = self.addresses.at(target).map_err(|why| no_address(why, self.spec.format, target))?;
        let own_name = Reshape { model: Some(target.model), ..Reshape::default() };
        let body = match (self.spec.format, target.endpoint) {
            (Format::Openai | Format::Azure | Format::Anthropic, _) if self.spec.models.is_empty() => {
                return Ok(Letter { uri, body: body.clone() });
            }
            (Format::Openai | Format::Azure | Format::Anthropic, _) => own_name.apply(body),
            (Format::Vertex, Endpoint::CountTokens) => {
                Reshape { with: &[VERTEX_VERSION], ..own_name }.apply(body)
            }
            (Format::Vertex, _) => {
                Reshape { model: None, without: &["model"], with: &[VERTEX_VERSION] }.apply(body)
            }
            (Format::Bedrock, Endpoint::CountTokens) => to_bedrock(headers, body, true).map(|body| {
                let wrapped = json!({"input": {"invokeModel": {"body": STANDARD.encode(&body)}}});
                Bytes::from(wrapped.to_string())
            }),
            (Format::Bedrock, _) => to_bedrock(headers, body, false),
        };
        let body = body
            .ok_or_else(|| Failure::bad_request("invalid_request", "the request's body is no JSON object"))?;
        Ok(Letter { uri, body })
    }
}

fn to_bedrock(headers: &HeaderMap, body: &Bytes, counted: bool) -> Option<Bytes> {
    let betas: Vec<Value> = headers
        .get_all(&BETA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|beta| Value::from(beta.trim()))
        .collect();
    let betas = (!betas.is_empty()).then(|| Value::from(betas).to_string());
    let mut with = vec![BEDROCK_VERSION];
    with.extend(betas.as_deref().map(|betas| ("anthropic_beta", betas)));
    if counted {
        // What is counted must be a request that could be sent.
        with.push(("max_tokens", "1"));
    }
    Reshape { model: None, without: &["model", "stream"], with: &with }.apply(body)
}

fn no_address(why: NoAddress, format: Format, target: &Target<'_>) -> Failure {
    let (format, path) = (format.word(), target.endpoint.path());
    match why {
        NoAddress::NotOffered => {
            let message = format!(
                "the release's provider (format `{format}`) has no {path}; deploy a release whose provider has it"
            );
            Failure::pinrail(StatusCode::NOT_IMPLEMENTED, "endpoint_not_offered", message)
        }
        NoAddress::Unfit => {
            let message = format!(
                "the provider's settings and the name of its model make no address for {path}; correct `models` and \
                 base_url and `pinrail apply`"
            );
            Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message)
        }
    }
}
