//! The embeddings format of OpenAI, which all who embed over HTTP speak.
//!
//! Conditions: `model` must be a text; `input` is there, and its shape is the provider's to judge. A release's prefix can be
//! put before texts and not before tokens. An answer's vectors come as numbers or as base64 of 32-bit floats (RFC 4648,
//! little-endian); how wide they are can be told of both without reading the numbers.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::{AnswerError, Usage};
use crate::edit::{Writer, write_metadata};
use crate::error::parse_error;
use crate::json::{self, Fields, Str};
use crate::request::{OWN_FIELD, RequestError, fields, metadata, missing, string, wrong};

/// One request, borrowed from its body.
#[derive(Clone, Debug)]
pub struct EmbeddingsRequest<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    body_bytes: usize,
    metadata: Option<Fields<'a>>,
    model: Cow<'a, str>,
    dimensions: Option<u32>,
}

/// What a release changes in a request.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'e> {
    pub model: &'e str,
    /// Asks for so many dimensions; none leaves the client's wish.
    pub dimensions: Option<u32>,
    /// Put before each text.
    pub prefix: Option<&'e str>,
}

/// What an answer was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedded {
    pub served_model: Option<String>,
    pub usage: Option<Usage>,
    /// How many vectors there are.
    pub vectors: u32,
    /// How wide they are, if all are equally wide.
    pub dimensions: Option<u32>,
}

const BYTES_PER_NUMBER: usize = 4;

impl<'a> EmbeddingsRequest<'a> {
    /// Reads a body; call [`crate::json::check_depth`] on it before.
    ///
    /// # Errors
    /// [`RequestError`], which names the field and what was expected.
    pub fn parse(body: &'a [u8]) -> Result<EmbeddingsRequest<'a>, RequestError> {
        let fields = fields(body)?;
        let get = |name: &str| fields.get(name).filter(|value| value.get() != "null");
        let model = string("model", get("model").ok_or_else(|| missing("model", "a string"))?)?;
        if get("input").is_none() {
            return Err(missing("input", "a text, or an array of texts or tokens"));
        }
        let dimensions = get("dimensions").map(|value| {
            serde_json::from_str(value.get()).map_err(|_| wrong("dimensions", "a whole number"))
        });
        let metadata = get("metadata").map(metadata).transpose()?;
        Ok(EmbeddingsRequest {
            body_bytes: body.len(),
            metadata,
            model,
            dimensions: dimensions.transpose()?,
            fields: fields.list,
        })
    }

    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How wide the client wants the vectors.
    #[must_use]
    pub fn dimensions(&self) -> Option<u32> {
        self.dimensions
    }

    /// Gives any top-level field as it stood in the body.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a RawValue> {
        let value = self.fields.iter().find(|(key, _)| key == name)?.1;
        (value.get() != "null").then_some(value)
    }

    /// Writes the request as `edit` wants it.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] where a prefix is to be put before something that isn't text.
    pub fn rewrite(&self, edit: &Edit<'_>) -> Result<Vec<u8>, RequestError> {
        let mut writer = Writer { out: Vec::with_capacity(self.body_bytes + edit.model.len() + 64) };
        for (name, value) in &self.fields {
            match (&**name, edit.prefix) {
                ("model", _) => json::write_str(writer.key(name), edit.model),
                (OWN_FIELD, _) => {}
                ("metadata", _) => write_metadata(self.metadata.as_ref(), value, &mut writer),
                ("dimensions", _) if edit.dimensions.is_some() => {}
                ("input", Some(prefix)) => write_prefixed(value, prefix, writer.key(name))?,
                (_, _) => writer.raw(name, value),
            }
        }
        if let Some(dimensions) = edit.dimensions {
            writer.key("dimensions").extend_from_slice(dimensions.to_string().as_bytes());
        }
        writer.out.push(b'}');
        Ok(writer.out)
    }
}

/// Observes a whole answer.
///
/// # Errors
/// [`AnswerError`] when the body can't be read, or is an error in spite of its status.
pub fn observe_embeddings(body: &[u8]) -> Result<Embedded, AnswerError> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        model: Option<Str<'a>>,
        data: Option<Vec<Item>>,
        usage: Option<Counted>,
    }
    #[derive(Deserialize)]
    struct Item {
        embedding: Width,
    }
    #[derive(Deserialize)]
    struct Counted {
        prompt_tokens: Option<f64>,
        total_tokens: Option<f64>,
    }
    let whole: Whole<'_> = match serde_json::from_slice(body) {
        Ok(whole) => whole,
        Err(source) => {
            return Err(parse_error(body).map_or(AnswerError::Unreadable { source }, AnswerError::Provider));
        }
    };
    if whole.data.is_none()
        && let Some(error) = parse_error(body)
    {
        return Err(AnswerError::Provider(error));
    }
    let vectors = whole.data.unwrap_or_default();
    let first = vectors.first().map(|item| item.embedding.0);
    let dimensions = first.filter(|first| vectors.iter().all(|item| item.embedding.0 == *first));
    // The cast saturates; tokens are neither negative nor fractions.
    let tokens = |number: Option<f64>| number.unwrap_or(0.0) as u64;
    Ok(Embedded {
        served_model: whole.model.map(|Str(model)| model.into_owned()).filter(|model| !model.is_empty()),
        usage: whole.usage.map(|usage| Usage {
            prompt_tokens: tokens(usage.prompt_tokens),
            total_tokens: tokens(usage.total_tokens),
            ..Usage::default()
        }),
        vectors: u32::try_from(vectors.len()).unwrap_or(u32::MAX),
        dimensions: dimensions.and_then(|wide| u32::try_from(wide).ok()),
    })
}

/// How wide a vector is.
struct Width(usize);

impl<'de> Deserialize<'de> for Width {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Width, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Width;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("an array of numbers, or base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Width, E> {
                let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
                Ok(Width((text.len() - padding) * 3 / 4 / BYTES_PER_NUMBER))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Width, A::Error> {
                let mut count = 0;
                while numbers.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Width(count))
            }
        }
        from.deserialize_any(Reader)
    }
}

fn write_prefixed(input: &RawValue, prefix: &str, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let no_text = || wrong("input", "a text or an array of texts, as the release puts a prefix before each");
    let put = |text: &str, out: &mut Vec<u8>| -> Result<(), RequestError> {
        let Str(text) = serde_json::from_str(text).map_err(|_| no_text())?;
        json::write_str(out, &format!("{prefix}{text}"));
        Ok(())
    };
    if !input.get().starts_with('[') {
        return put(input.get(), out);
    }
    out.push(b'[');
    for (at, item) in json::items(input.get()).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(item, out)?;
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_puts_its_model_in_and_all_else_passes() {
        let check = |body: &str, edit: Edit<'_>, want: &str| {
            let request = EmbeddingsRequest::parse(body.as_bytes()).unwrap();
            let got = request.rewrite(&edit).map_err(|error| error.to_string());
            let got = got.map(|body| String::from_utf8(body).unwrap());
            assert_eq!(got.unwrap_or_else(|error| error), want, "{body}");
        };
        let plain = Edit { model: "embed-3", dimensions: None, prefix: None };
        check(
            r#"{"input":[1,2],"model":"support","pinrail":{},"new":{"a":1.50},"dimensions":7}"#,
            plain,
            r#"{"input":[1,2],"model":"embed-3","new":{"a":1.50},"dimensions":7}"#,
        );
        check(
            r#"{"model":"support","input":"a","dimensions":7}"#,
            Edit { dimensions: Some(256), ..plain },
            r#"{"model":"embed-3","input":"a","dimensions":256}"#,
        );
        let query = Edit { prefix: Some("query: "), ..plain };
        check(
            r#"{"model":"s","input":["\u0061",""]}"#,
            query,
            r#"{"model":"embed-3","input":["query: a","query: "]}"#,
        );
        check(
            r#"{"model":"s","input":[[1,2]]}"#,
            query,
            "`input` must be a text or an array of texts, as the release puts a prefix before each",
        );
    }

    #[test]
    fn requests_that_cannot_be_routed_are_refused_by_name() {
        let check = |body: &str, param: Option<&str>| {
            let error = EmbeddingsRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.param(), param, "{body}");
        };
        check(r#"{"input":"a"}"#, Some("model"));
        check(r#"{"model":"m"}"#, Some("input"));
        check(r#"{"model":"m","input":"a","dimensions":"x"}"#, Some("dimensions"));
        check(r#"{"model":"m","model":"n","input":"a"}"#, Some("model"));
        check("[]", None);
    }

    #[test]
    fn vectors_are_counted_and_measured() {
        let check = |data: &str, vectors: u32, dimensions: Option<u32>| {
            let body =
                format!(r#"{{"model":"e","data":{data},"usage":{{"prompt_tokens":3,"total_tokens":3}}}}"#);
            let got = observe_embeddings(body.as_bytes()).unwrap();
            assert_eq!((got.vectors, got.dimensions), (vectors, dimensions), "{data}");
            assert_eq!(got.usage.unwrap().prompt_tokens, 3);
        };
        check("[]", 0, None);
        check(r#"[{"embedding":[0.1,-2e-3,3]},{"embedding":[1,2,3]}]"#, 2, Some(3));
        check(r#"[{"embedding":[0.1]},{"embedding":[1,2,3]}]"#, 2, None);
        // Three floats are twelve bytes, which are sixteen digits; two are eight, with padding.
        check(r#"[{"embedding":"AAAAAAAAAAAAAAAA"}]"#, 1, Some(3));
        check(r#"[{"embedding":"AAAAAAAAAAA="}]"#, 1, Some(2));
        assert!(matches!(
            observe_embeddings(br#"{"error":{"message":"no"}}"#),
            Err(AnswerError::Provider(error)) if error.message == "no"
        ));
        assert!(matches!(observe_embeddings(b"<html>"), Err(AnswerError::Unreadable { .. })));
    }
}
