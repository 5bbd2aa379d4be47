//! The list of models: ours for clients, the providers' for retirement dates.

use serde::Serialize;
use serde_json::Value;

use crate::json;

/// One model of a provider's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    pub id: String,
    pub created: Option<When>,
    pub owned_by: Option<String>,
    /// When the provider discourages its use.
    pub deprecated: Option<When>,
    /// When the provider stops serving it.
    pub shutdown: Option<When>,
    /// Other names of the same model; a name that is another's alias is no pin.
    pub aliases: Vec<String>,
}

/// A point in time as the provider wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Seconds since the Unix epoch.
    UnixS(u64),
    /// A date or a date with time, usually ISO 8601.
    Text(String),
}

/// Says why a body is no list of models.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error("the list of models is not JSON")]
    NotJson { source: serde_json::Error },
    #[error("the body holds no list of models")]
    NoList,
}

#[derive(Serialize)]
struct List<'m> {
    object: &'static str,
    data: Vec<Entry<'m>>,
}

#[derive(Serialize)]
struct Entry<'m> {
    id: &'m str,
    object: &'static str,
    created: u64,
    owned_by: &'m str,
}

/// Where providers say that a model is discouraged: Anthropic, LiteLLM, Bedrock.
const DEPRECATED: [&str; 4] =
    ["/deprecated_at", "/deprecation_date", "/lifecycle/deprecated_at", "/modelLifecycle/legacyTime"];

/// Where providers say that a model goes: OpenAI, Anthropic, Mistral, Azure, Gemini, Bedrock.
const SHUTDOWN: [&str; 10] = [
    "/shutdown_date",
    "/retires_at",
    "/retirement_date",
    "/lifecycle/retires_at",
    "/deprecation",
    "/deprecation/inference",
    "/modelStatus/retirementTime",
    "/modelLifecycle/endOfLifeTime",
    "/shutdown_at",
    "/shutdown",
];

/// Writes the answer to `GET /v1/models` from `(id, created, owned_by)`, created in seconds since the epoch.
#[must_use]
pub fn models_list(models: &[(&str, u64, &str)]) -> Vec<u8> {
    let entry = |&(id, created, owned_by)| Entry { id, object: "model", created, owned_by };
    json::to_vec(&List { object: "list", data: models.iter().map(entry).collect() })
}

/// Writes the answer to `GET /v1/models/ID`.
#[must_use]
pub fn one_model(id: &str, created: u64, owned_by: &str) -> Vec<u8> {
    json::to_vec(&Entry { id, object: "model", created, owned_by })
}

/// Reads a provider's list of models; entries without an id are passed over.
///
/// # Errors
/// [`ModelsError`] when there is no list under `data` or `models`, nor at the top.
pub fn parse_models(body: &[u8]) -> Result<Vec<ModelEntry>, ModelsError> {
    let value: Value = serde_json::from_slice(body).map_err(|source| ModelsError::NotJson { source })?;
    let list = [Some(&value), value.get("data"), value.get("models")].into_iter().flatten();
    let list = list.filter_map(Value::as_array).next().ok_or(ModelsError::NoList)?;
    Ok(list.iter().filter_map(entry).collect())
}

/// Where a list goes on: the name and the value of the parameter that asks for its next page; none at its end. Anthropic
/// and Gemini give their lists in pages.
#[must_use]
pub fn next_page(body: &[u8]) -> Option<(&'static str, String)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if value.get("has_more").and_then(Value::as_bool) == Some(true) {
        return Some(("after_id", text("last_id")?.to_owned()));
    }
    Some(("pageToken", text("nextPageToken")?.to_owned()))
}

fn entry(of: &Value) -> Option<ModelEntry> {
    let text = |key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let first = |places: &[&str]| places.iter().find_map(|place| when(of.pointer(place)?));
    let aliases = of.get("aliases").and_then(Value::as_array).into_iter().flatten();
    Some(ModelEntry {
        id: text("id").or_else(|| text("name"))?,
        created: first(&["/created", "/created_at"]),
        owned_by: text("owned_by"),
        deprecated: first(&DEPRECATED),
        shutdown: first(&SHUTDOWN),
        aliases: aliases.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

fn when(value: &Value) -> Option<When> {
    match value {
        Value::String(text) if !text.is_empty() => Some(When::Text(text.clone())),
        Value::Number(number) => number.as_u64().map(When::UnixS),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_list_can_be_read() {
        let body = models_list(&[("support", 1_700_000_000, "acme"), ("planner", 5, "acme")]);
        let read = parse_models(&body).unwrap();
        assert_eq!(read.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["support", "planner"]);
        assert_eq!(read[0].created, Some(When::UnixS(1_700_000_000)));
        assert_eq!(read[0].owned_by.as_deref(), Some("acme"));
        assert!(
            String::from_utf8(body)
                .unwrap()
                .starts_with(r#"{"object":"list","data":[{"id":"support","object":"model","#)
        );
        assert_eq!(parse_models(&models_list(&[])).unwrap(), []);
    }

    #[test]
    fn retirement_is_found_where_each_provider_puts_it() {
        let check = |entry: &str, shutdown: Option<&str>, deprecated: Option<&str>| {
            let body = format!(r#"{{"data":[{{"id":"m","extra":[{{}}],{entry}}}]}}"#);
            let read = parse_models(body.as_bytes()).unwrap().remove(0);
            assert_eq!(read.shutdown, shutdown.map(|text| When::Text(text.to_owned())), "{entry}");
            assert_eq!(read.deprecated, deprecated.map(|text| When::Text(text.to_owned())), "{entry}");
        };
        check(r#""shutdown_date":"2026-10-23""#, Some("2026-10-23"), None);
        check(r#""shutdown_date":null"#, None, None);
        check(
            r#""lifecycle":"active","deprecated_at":"2026-01-01","retires_at":"2026-06-01""#,
            Some("2026-06-01"),
            Some("2026-01-01"),
        );
        check(r#""deprecation":"2025-11-30T12:00:00Z""#, Some("2025-11-30T12:00:00Z"), None);
        check(r#""deprecation":{"fine_tune":1,"inference":"2026-02-03"}"#, Some("2026-02-03"), None);
        check(r#""modelStatus":{"retirementTime":"2026-05-05"}"#, Some("2026-05-05"), None);
    }

    #[test]
    fn the_lists_that_providers_publish_are_read() {
        // In the forms of the public references of OpenAI, Anthropic, Gemini and Mistral.
        let openai = br#"{"object":"list","data":[{"id":"gpt-4o-2024-08-06","object":"model","created":1722814719,"owned_by":"system"}]}"#;
        let read = parse_models(openai).unwrap();
        assert_eq!(
            (&*read[0].id, &read[0].created),
            ("gpt-4o-2024-08-06", &Some(When::UnixS(1_722_814_719)))
        );
        assert_eq!(next_page(openai), None);
        let anthropic = br#"{"data":[{"type":"model","id":"claude-sonnet-4-20250514","display_name":"Claude Sonnet 4","created_at":"2025-05-14T00:00:00Z"}],"first_id":"claude-sonnet-4-20250514","has_more":true,"last_id":"claude-sonnet-4-20250514"}"#;
        let read = parse_models(anthropic).unwrap();
        assert_eq!(read[0].created, Some(When::Text("2025-05-14T00:00:00Z".to_owned())));
        assert_eq!(next_page(anthropic), Some(("after_id", "claude-sonnet-4-20250514".to_owned())));
        let gemini = br#"{"models":[{"name":"models/gemini-2.0-flash-001","baseModelId":"gemini-2.0-flash","version":"001","displayName":"Gemini 2.0 Flash 001","inputTokenLimit":1048576}],"nextPageToken":"abc"}"#;
        assert_eq!(parse_models(gemini).unwrap()[0].id, "models/gemini-2.0-flash-001");
        assert_eq!(next_page(gemini), Some(("pageToken", "abc".to_owned())));
        let mistral = br#"{"object":"list","data":[{"id":"mistral-large-2411","object":"model","created":1732000000,"owned_by":"mistralai","capabilities":{"completion_chat":true},"name":"mistral-large-2411","aliases":["mistral-large-latest"],"deprecation":"2026-12-31T12:00:00Z","deprecation_replacement_model":"mistral-large-2512","type":"base"}]}"#;
        let read = parse_models(mistral).unwrap();
        assert_eq!(read[0].aliases, ["mistral-large-latest"]);
        assert_eq!(read[0].shutdown, Some(When::Text("2026-12-31T12:00:00Z".to_owned())));
    }

    #[test]
    fn other_shapes_of_list() {
        let ids = |body: &str| {
            parse_models(body.as_bytes()).map(|all| all.into_iter().map(|m| m.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(r#"[{"id":"a"},{"no":"id"},7]"#).unwrap(), ["a"]);
        assert_eq!(ids(r#"{"models":[{"name":"models/g"}]}"#).unwrap(), ["models/g"]);
        assert!(matches!(ids(r#"{"error":{}}"#), Err(ModelsError::NoList)));
        assert!(matches!(ids("<html>"), Err(ModelsError::NotJson { .. })));
        let aliased = parse_models(br#"{"data":[{"id":"m-2501","aliases":["m-latest",3]}]}"#).unwrap();
        assert_eq!(aliased[0].aliases, ["m-latest"]);
    }
}
