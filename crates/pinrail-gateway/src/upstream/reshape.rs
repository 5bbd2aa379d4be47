//! Changes a few top-level fields of a request's body and copies all others byte for byte, in their order.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// What changes in a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reshape<'a> {
    /// Takes the place of `model`.
    pub model: Option<&'a str>,
    pub without: &'a [&'static str],
    /// Names and JSON texts, put in front; the same fields of the body go.
    pub with: &'a [(&'static str, &'a str)],
}

/// The top-level fields of an object, in their order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Reshape<'_> {
    /// The changed body; none where the body is no JSON object.
    pub fn apply(&self, body: &[u8]) -> Option<Bytes> {
        let Fields(fields) = serde_json::from_slice(body).ok()?;
        let added: usize = self.with.iter().map(|(name, json)| name.len() + json.len() + 6).sum();
        let model = self.model.map_or(0, |model| model.len() + 16);
        let mut out = Vec::with_capacity(body.len() + added + model);
        for (name, json) in self.with {
            key(&mut out, name).extend_from_slice(json.as_bytes());
        }
        let added = |name: &str| self.with.iter().any(|(with, _)| *with == name);
        for (name, value) in &fields {
            let name: &str = name;
            match self.model {
                Some(model) if name == "model" => write_str(key(&mut out, name), model),
                Some(_) | None if self.without.contains(&name) || added(name) => {}
                Some(_) | None => key(&mut out, name).extend_from_slice(value.get().as_bytes()),
            }
        }
        out.extend_from_slice(if out.is_empty() { b"{}" } else { b"}" });
        Some(Bytes::from(out))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Reader)
    }
}

/// A name that borrows from its source unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn key<'o>(out: &'o mut Vec<u8>, name: &str) -> &'o mut Vec<u8> {
    out.push(if out.is_empty() { b'{' } else { b',' });
    write_str(out, name);
    out.push(b':');
    out
}

fn write_str(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_fields_change_and_the_rest_is_copied() {
        let check = |reshape: Reshape<'_>, body: &str, want: &str| {
            assert_eq!(reshape.apply(body.as_bytes()).as_deref(), Some(want.as_bytes()), "{body}");
        };
        let model = Reshape { model: Some("my \"own\""), ..Reshape::default() };
        check(
            model,
            r#"{"a":1.0, "model":"m","b":{"model" : "x"}}"#,
            r#"{"a":1.0,"model":"my \"own\"","b":{"model" : "x"}}"#,
        );
        check(model, r#"{"mod\u0065l":"m"}"#, r#"{"model":"my \"own\""}"#);
        check(model, "{}", "{}");
        let invoke =
            Reshape { model: None, without: &["model", "stream"], with: &[("anthropic_version", "\"v\"")] };
        check(
            invoke,
            r#"{"model":"m","stream":true,"anthropic_version":"other","max_tokens":1}"#,
            r#"{"anthropic_version":"v","max_tokens":1}"#,
        );
        check(Reshape { without: &["a"], ..Reshape::default() }, r#"{"a":1}"#, "{}");
        assert_eq!(model.apply(b"[1]"), None);
        assert_eq!(model.apply(b"{\"a\":"), None);
    }
}
