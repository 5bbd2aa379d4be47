//! A release's parameters in another dialect than the one they are written for.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::losses::{Lossy, Refused};
use super::request;
use crate::dialect::Dialect;
use crate::json::{self, Fields};

/// Says parameters in another dialect. They must all be sayable: a release is what it is, whoever calls.
///
/// # Errors
/// [`Refused`], which names every parameter that has no form there.
pub fn params(
    from: Dialect,
    params: &BTreeMap<String, Value>,
    to: Dialect,
) -> Result<Vec<(String, Box<RawValue>)>, Refused> {
    // A request that holds nothing else is converted as any other, and what it holds is looked at again.
    let bare = written(from, to, &BTreeMap::new())?;
    let full = written(from, to, params)?;
    let read = |body: &[u8]| -> Vec<(String, Box<RawValue>)> {
        let text = std::str::from_utf8(body).expect("what is written is text");
        let fields = Fields::read(text).expect("what is written is an object");
        fields.list.into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect()
    };
    let known = read(&bare);
    let new = read(&full).into_iter().filter(|(name, value)| {
        !known.iter().any(|(other, same)| other == name && same.get() == value.get())
    });
    Ok(new.collect())
}

fn written(from: Dialect, to: Dialect, params: &BTreeMap<String, Value>) -> Result<Vec<u8>, Refused> {
    let mut body: Map<String, Value> =
        params.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    body.insert("model".to_owned(), json!("m"));
    match from {
        Dialect::Chat | Dialect::Messages => {
            body.insert("messages".to_owned(), json!([{ "role": "user", "content": "x" }]));
        }
        Dialect::Responses => {
            body.insert("input".to_owned(), json!("x"));
        }
    }
    Ok(request(from, &json::to_vec(&body), to, &Lossy::default())?.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_sets_is_said_in_the_other_dialect() {
        let check = |from: Dialect, params: Value, to: Dialect, want: Value| {
            let given: BTreeMap<String, Value> = serde_json::from_value(params.clone()).unwrap();
            let said = super::params(from, &given, to).map(|said| {
                let said =
                    said.into_iter().map(|(name, raw)| (name, serde_json::from_str(raw.get()).unwrap()));
                Value::Object(said.collect())
            });
            let said = said.unwrap_or_else(|refused| json!(refused.fields[0].path));
            assert_eq!(said, want, "{params} from {from:?} to {to:?}");
        };
        check(Dialect::Chat, json!({}), Dialect::Messages, json!({}));
        check(
            Dialect::Chat,
            json!({ "temperature": 0.2, "max_tokens": 800 }),
            Dialect::Responses,
            json!({ "temperature": 0.2, "max_output_tokens": 800 }),
        );
        check(
            Dialect::Chat,
            json!({ "max_completion_tokens": 800, "stop": "END" }),
            Dialect::Messages,
            json!({ "max_tokens": 800, "stop_sequences": ["END"] }),
        );
        check(
            Dialect::Messages,
            json!({ "max_tokens": 800, "temperature": 0.5 }),
            Dialect::Chat,
            json!({ "max_completion_tokens": 800, "temperature": 0.5 }),
        );
        check(Dialect::Chat, json!({ "logit_bias": { "1": 5 } }), Dialect::Responses, json!("logit_bias"));
    }
}
