//! Where a provider's endpoints are. What doesn't depend on the model is worked out once.
//!
//! Sources: the API references of OpenAI, Anthropic, Azure OpenAI, Amazon Bedrock and Google Vertex AI.

use std::fmt::Write as _;

use http::Uri;
use pinrail_domain::provider::{Format, ProviderSpec};

use super::target::{Endpoint, Target};

/// The addresses of a provider's endpoints.
pub enum Addresses {
    /// All below one base.
    Below(Box<Below>),
    /// Azure's addresses that name deployment and version.
    Deployments { base: String, version: String },
    /// `…/model/{id}/invoke`.
    Bedrock { base: String },
    /// `…/publishers/anthropic/models/{id}:rawPredict`.
    Vertex { models: String },
}

/// One address for each endpoint.
pub struct Below {
    chat: Uri,
    responses: Uri,
    messages: Uri,
    count_tokens: Uri,
    embeddings: Uri,
    base: String,
}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    #[error("it has no such endpoint")]
    NotOffered,
    #[error("its settings and the model's name make no address")]
    Unfit,
}

impl Addresses {
    /// The addresses of a provider at `base`; none where that makes no address.
    pub fn of(spec: &ProviderSpec, base: &str) -> Option<Addresses> {
        let base = base.trim_end_matches('/');
        match (spec.format, &spec.vertex) {
            (Format::Openai | Format::Anthropic, _) => Addresses::below(base),
            (Format::Azure, _) => {
                let resource = base.strip_suffix("/openai/v1").or_else(|| base.strip_suffix("/openai"));
                let resource = resource.unwrap_or(base);
                match spec.azure.as_ref().and_then(|azure| azure.api_version.clone()) {
                    Some(version) => is_base(resource)
                        .then(|| Addresses::Deployments { base: resource.to_owned(), version }),
                    None => Addresses::below(&format!("{resource}/openai/v1")),
                }
            }
            (Format::Bedrock, _) => is_base(base).then(|| Addresses::Bedrock { base: base.to_owned() }),
            (Format::Vertex, Some(vertex)) => {
                let (project, region) = (&vertex.project, &vertex.region);
                let models =
                    format!("{base}/projects/{project}/locations/{region}/publishers/anthropic/models");
                is_base(base).then_some(Addresses::Vertex { models })
            }
            (Format::Vertex, None) => None,
        }
    }

    fn below(base: &str) -> Option<Addresses> {
        let at = |endpoint: Endpoint| {
            let uri = format!("{base}{}", endpoint.path()).parse::<Uri>().ok();
            uri.filter(|uri| uri.authority().is_some())
        };
        Some(Addresses::Below(Box::new(Below {
            chat: at(Endpoint::Chat)?,
            responses: at(Endpoint::Responses)?,
            messages: at(Endpoint::Messages)?,
            count_tokens: at(Endpoint::CountTokens)?,
            embeddings: at(Endpoint::Embeddings)?,
            base: base.to_owned(),
        })))
    }

    /// Where a target is.
    pub fn at(&self, target: &Target<'_>) -> Result<Uri, NoAddress> {
        let built = match self {
            Addresses::Below(below) => return Ok(below.at(target.endpoint).clone()),
            Addresses::Deployments { base, version } => deployments(base, version, target)?,
            Addresses::Bedrock { base } => bedrock(base, target)?,
            Addresses::Vertex { models } => vertex(models, target)?,
        };
        built.parse().map_err(|_| NoAddress::Unfit)
    }
}

impl Addresses {
    /// Where a page of the provider's list of models is; none where it has no such list.
    pub fn models(&self, query: &str) -> Option<Uri> {
        let and = |first: &str| if query.is_empty() { String::new() } else { format!("{first}{query}") };
        let text = match self {
            Addresses::Below(below) => format!("{}/models{}", below.base, and("?")),
            Addresses::Deployments { base, version } => {
                format!("{base}/openai/models?api-version={version}{}", and("&"))
            }
            Addresses::Bedrock { .. } | Addresses::Vertex { .. } => return None,
        };
        text.parse().ok()
    }
}

impl Below {
    fn at(&self, endpoint: Endpoint) -> &Uri {
        match endpoint {
            Endpoint::Chat => &self.chat,
            Endpoint::Responses => &self.responses,
            Endpoint::Messages => &self.messages,
            Endpoint::CountTokens => &self.count_tokens,
            Endpoint::Embeddings => &self.embeddings,
        }
    }
}

fn deployments(base: &str, version: &str, target: &Target<'_>) -> Result<String, NoAddress> {
    let model = in_path(target.model, b"");
    match target.endpoint {
        Endpoint::Chat | Endpoint::Embeddings => {
            let path = target.endpoint.path();
            Ok(format!("{base}/openai/deployments/{model}{path}?api-version={version}"))
        }
        // The deployment is the body's `model` here.
        Endpoint::Responses => Ok(format!("{base}/openai/responses?api-version={version}")),
        Endpoint::Messages | Endpoint::CountTokens => Err(NoAddress::NotOffered),
    }
}

fn bedrock(base: &str, target: &Target<'_>) -> Result<String, NoAddress> {
    match target.endpoint {
        Endpoint::Messages if target.stream => {
            Ok(format!("{base}/model/{}/invoke-with-response-stream", in_path(target.model, b"")))
        }
        Endpoint::Messages => Ok(format!("{base}/model/{}/invoke", in_path(target.model, b""))),
        Endpoint::CountTokens => {
            Ok(format!("{base}/model/{}/count-tokens", in_path(without_profile(target.model), b"")))
        }
        Endpoint::Chat | Endpoint::Responses | Endpoint::Embeddings => Err(NoAddress::NotOffered),
    }
}

fn vertex(models: &str, target: &Target<'_>) -> Result<String, NoAddress> {
    let model = in_path(target.model, b"@");
    match target.endpoint {
        Endpoint::Messages if target.stream => Ok(format!("{models}/{model}:streamRawPredict")),
        Endpoint::Messages => Ok(format!("{models}/{model}:rawPredict")),
        Endpoint::CountTokens => Ok(format!("{models}/count-tokens:rawPredict")),
        Endpoint::Chat | Endpoint::Responses | Endpoint::Embeddings => Err(NoAddress::NotOffered),
    }
}

/// The model of an inference profile, such as `us.anthropic.…`: tokens are counted of models alone.
fn without_profile(model: &str) -> &str {
    match model.split_once(".anthropic.") {
        Some((region, _)) if region.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => {
            &model[region.len() + 1..]
        }
        Some(_) | None => model,
    }
}

fn is_base(base: &str) -> bool {
    base.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some())
}

/// A text as one segment of a path.
fn in_path(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string is written to memory");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(
        spec: serde_json::Value,
        endpoint: Endpoint,
        model: &str,
        stream: bool,
        want: Result<&str, NoAddress>,
    ) {
        let mut spec = spec;
        spec["catalogue"] = "x".into();
        let spec: ProviderSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.check(), Ok(()));
        let addresses = Addresses::of(&spec, &spec.base()).unwrap();
        let got = addresses.at(&Target { endpoint, model, stream }).map(|uri| uri.to_string());
        assert_eq!(got.as_deref(), want.as_ref().map(|text| *text), "{spec:?}");
    }

    #[test]
    fn addresses_are_as_the_providers_have_them() {
        use Endpoint::{Chat, CountTokens, Embeddings, Messages, Responses};
        let openai = json!({"base_url": "https://api.openai.com/v1/"});
        check(openai.clone(), Chat, "m", false, Ok("https://api.openai.com/v1/chat/completions"));
        check(openai.clone(), Responses, "m", true, Ok("https://api.openai.com/v1/responses"));
        check(openai, Embeddings, "m", true, Ok("https://api.openai.com/v1/embeddings"));
        let anthropic = json!({"format": "anthropic", "base_url": "https://api.anthropic.com/v1"});
        check(anthropic.clone(), Messages, "m", true, Ok("https://api.anthropic.com/v1/messages"));
        check(anthropic, CountTokens, "m", false, Ok("https://api.anthropic.com/v1/messages/count_tokens"));
        for base in ["https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/"] {
            let azure = json!({"format": "azure", "base_url": base});
            check(
                azure.clone(),
                Chat,
                "d",
                false,
                Ok("https://r.openai.azure.com/openai/v1/chat/completions"),
            );
            check(azure, Responses, "d", false, Ok("https://r.openai.azure.com/openai/v1/responses"));
        }
        let azure = json!({"format": "azure", "base_url": "https://r.example/openai", "azure": {"api_version": "2024-10-21"}});
        let chat = "https://r.example/openai/deployments/my%20d%2F1/chat/completions?api-version=2024-10-21";
        check(azure.clone(), Chat, "my d/1", false, Ok(chat));
        check(
            azure.clone(),
            Responses,
            "d",
            false,
            Ok("https://r.example/openai/responses?api-version=2024-10-21"),
        );
        check(azure, Messages, "d", false, Err(NoAddress::NotOffered));
        let bedrock = json!({"format": "bedrock", "aws": {"region": "us-east-1"}});
        let host = "https://bedrock-runtime.us-east-1.amazonaws.com/model";
        let id = "us.anthropic.claude-v2:0";
        check(bedrock.clone(), Messages, id, false, Ok(&format!("{host}/us.anthropic.claude-v2%3A0/invoke")));
        let stream = format!("{host}/us.anthropic.claude-v2%3A0/invoke-with-response-stream");
        check(bedrock.clone(), Messages, id, true, Ok(&stream));
        check(
            bedrock.clone(),
            CountTokens,
            id,
            false,
            Ok(&format!("{host}/anthropic.claude-v2%3A0/count-tokens")),
        );
        let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.c";
        let at =
            format!("{host}/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.c/invoke");
        check(bedrock.clone(), Messages, arn, false, Ok(&at));
        check(bedrock, Chat, id, false, Err(NoAddress::NotOffered));
        let vertex = json!({"format": "vertex", "vertex": {"project": "p-1", "region": "us-east5"}});
        let models = "https://us-east5-aiplatform.googleapis.com/v1/projects/p-1/locations/us-east5/publishers/anthropic/models";
        check(vertex.clone(), Messages, "c@20250514", false, Ok(&format!("{models}/c@20250514:rawPredict")));
        check(
            vertex.clone(),
            Messages,
            "c@20250514",
            true,
            Ok(&format!("{models}/c@20250514:streamRawPredict")),
        );
        check(vertex.clone(), CountTokens, "c", false, Ok(&format!("{models}/count-tokens:rawPredict")));
        check(vertex, Embeddings, "c", false, Err(NoAddress::NotOffered));
    }
}
