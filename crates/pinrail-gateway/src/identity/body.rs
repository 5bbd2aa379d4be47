//! What the body says about the call: the `pinrail` object, and `metadata.pinrail_…`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Named, Says};
use crate::failure::Failure;
use crate::limits::Limits;

/// Everything that the body says, the `pinrail` object before `metadata`.
#[derive(Debug, Default)]
pub struct Said<'a> {
    pub run: Option<Named<'a>>,
    pub session: Option<Named<'a>>,
    pub tenant: Option<Named<'a>>,
    pub attributes: BTreeMap<String, String>,
    pub variables: BTreeMap<String, Value>,
    variables_bytes: usize,
}

/// The body's `pinrail` object.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own<'a> {
    run: Option<String>,
    session: Option<String>,
    tenant: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
}

const METADATA_KEYS: &str =
    "pinrail_run, pinrail_session, pinrail_tenant, pinrail_attr_<name>, pinrail_var_<name>";

impl<'a> Said<'a> {
    pub fn read(request: &impl Says<'a>, limits: &Limits) -> Result<Said<'a>, Failure> {
        let mut said = Said::default();
        if let Some(own) = request.field("pinrail") {
            said.read_own(own, limits)?;
        }
        if let Some(metadata) = request.field("metadata") {
            said.read_metadata(metadata)?;
        }
        let (count, bytes) = (said.variables.len(), said.variables_bytes);
        if count > limits.variables_max || bytes > limits.variables_bytes_max {
            return Err(too_large(count, bytes, limits));
        }
        Ok(said)
    }

    fn read_own(&mut self, own: &'a RawValue, limits: &Limits) -> Result<(), Failure> {
        let invalid = |why: String| Failure::bad_request("invalid_pinrail_field", why).about("pinrail");
        if !own.get().starts_with('{') {
            return Err(invalid("`pinrail` must be an object".to_owned()));
        }
        let own: Own<'a> = serde_json::from_str(own.get())
            .map_err(|error| invalid(format!("`pinrail`: {}", plain(&error))))?;
        let named = |text: Option<String>, place| text.map(|text| Named { text: Cow::Owned(text), place });
        self.run = named(own.run, "pinrail.run");
        self.session = named(own.session, "pinrail.session");
        self.tenant = named(own.tenant, "pinrail.tenant");
        self.attributes = own.attributes;
        if let Some(variables) = own.variables {
            self.variables_bytes = variables.get().len();
            // Before parsing: a value takes many times its text in memory.
            if self.variables_bytes > limits.variables_bytes_max {
                return Err(too_large(0, self.variables_bytes, limits));
            }
            self.variables = serde_json::from_str(variables.get())
                .map_err(|_| invalid("`pinrail.variables` must be an object".to_owned()))?;
        }
        Ok(())
    }

    fn read_metadata(&mut self, metadata: &'a RawValue) -> Result<(), Failure> {
        let fields: BTreeMap<Cow<'a, str>, &'a RawValue> =
            serde_json::from_str(metadata.get()).expect("the request's reader found an object");
        for (key, value) in &fields {
            let Some(name) = key.strip_prefix("pinrail_") else { continue };
            let text: String =
                serde_json::from_str(value.get()).expect("the request's reader found a string");
            let place = |slot: &mut Option<Named<'a>>, text: String, place| {
                slot.get_or_insert(Named { text: Cow::Owned(text), place });
            };
            match name {
                "run" => place(&mut self.run, text, "metadata.pinrail_run"),
                "session" => place(&mut self.session, text, "metadata.pinrail_session"),
                "tenant" => place(&mut self.tenant, text, "metadata.pinrail_tenant"),
                _ => match (name.strip_prefix("attr_"), name.strip_prefix("var_")) {
                    (Some(name), _) if !name.is_empty() => {
                        self.attributes.entry(name.to_owned()).or_insert(text);
                    }
                    (_, Some(name)) if !name.is_empty() => {
                        self.variables_bytes += name.len() + text.len();
                        self.variables.entry(name.to_owned()).or_insert(Value::String(text));
                    }
                    (_, _) => {
                        let key = key.get(..key.floor_char_boundary(64)).unwrap_or_default();
                        let message = format!("`metadata.{key}` means nothing; there are {METADATA_KEYS}");
                        return Err(Failure::bad_request("unknown_field", message).about("metadata"));
                    }
                },
            }
        }
        Ok(())
    }
}

fn too_large(count: usize, bytes: usize, limits: &Limits) -> Failure {
    let message = if bytes > limits.variables_bytes_max {
        format!("the prompt variables take {bytes} bytes; at most {} are allowed", limits.variables_bytes_max)
    } else {
        format!("the call has {count} prompt variables; at most {} are allowed", limits.variables_max)
    };
    Failure::bad_request("too_many_variables", message).about("pinrail.variables")
}

/// What a parser says, without its position, which is relative to the field.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
