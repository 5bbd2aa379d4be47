//! `GET /openapi.json`: the API's description, OpenAPI 3.1, from the table of routes.
//!
//! Bodies are named, not spelled out: their fields are shown by example in `docs/api.md`. Problems are described whole,
//! with every code.

use axum::body::Body;
use http::Method;
use pinrail_api::problem::Code;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::reply::{Answer, with_type};
use crate::routes::{Access, ROUTES, Route, Takes};

pub async fn show(call: Call) -> Answer {
    Ok(with_type("application/json", Body::from(call.state.openapi.clone())))
}

/// The description as JSON text.
pub fn document(version: &str) -> String {
    let mut paths = Map::new();
    for route in ROUTES {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = operation(route);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pinrail",
            "version": version,
            "description": "The control API. Model calls go to /v1/chat/completions in OpenAI's format. \
                Ids are written as shown; times are Unix milliseconds, shares basis points, money nano-dollars.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A key made with `pinrail key create`" }
            },
            "schemas": schemas(),
            "responses": {
                "Problem": {
                    "description": "What went wrong, why, and what to do next",
                    "content": { "application/problem+json": { "schema": reference("Problem") } }
                }
            }
        }
    });
    document.to_string()
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "parameters": parameters(route),
        "responses": {
            "200": { "description": route.gives, "content": content(route.gives) },
            "default": { "$ref": "#/components/responses/Problem" }
        },
    });
    let body = match route.takes {
        Takes::Nothing => None,
        Takes::Json(name) | Takes::LargeJson(name) => Some(
            json!({ "required": true, "content": { "application/json": { "schema": reference(name) } } }),
        ),
        Takes::JsonOrNothing(name) => Some(
            json!({ "required": false, "content": { "application/json": { "schema": reference(name) } } }),
        ),
        Takes::Bytes => Some(json!({ "required": true, "content": { "application/octet-stream": {} } })),
    };
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    match route.access {
        Access::Public => operation["security"] = json!([]),
        Access::Key { scopes, by_tenant } => {
            let names: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let tenants =
                if by_tenant { "keys limited to tenants see their own" } else { "no tenant-limited keys" };
            operation["description"] = json!(format!("Scope {}; {tenants}.", names.join(" or ")));
        }
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let in_path = path_names(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text.clone() }));
    let in_query = route.query.iter().map(|(name, meaning)| {
        json!({ "name": name, "in": "query", "description": meaning, "schema": text.clone() })
    });
    let mut all: Vec<Value> = in_path.chain(in_query).collect();
    if route.is_mutation() {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": text.clone(),
            "description": "The same key and request have one effect and one answer"
        }));
    }
    if route.is_fenced() {
        all.push(json!({
            "name": "x-pinrail-member", "in": "header", "schema": text.clone(),
            "description": "The member that this comes from; refused with `fenced` when it no longer counts"
        }));
        all.push(json!({
            "name": "x-pinrail-member-generation", "in": "header", "schema": text.clone(),
            "description": "That member's generation"
        }));
    }
    if matches!(route.access, Access::Key { by_tenant: true, .. }) {
        all.push(json!({
            "name": "x-pinrail-tenant", "in": "header", "schema": text,
            "description": "The tenant that the call is for"
        }));
    }
    all
}

fn content(gives: &str) -> Value {
    match gives {
        media_type if media_type.contains('/') => json!({ media_type: {} }),
        name => json!({ "application/json": { "schema": reference(name) } }),
    }
}

fn schemas() -> Map<String, Value> {
    let taken = ROUTES.iter().filter_map(|route| match route.takes {
        Takes::Json(name) | Takes::JsonOrNothing(name) | Takes::LargeJson(name) => Some(name),
        Takes::Nothing | Takes::Bytes => None,
    });
    let given = ROUTES.iter().map(|route| route.gives).filter(|gives| !gives.contains('/'));
    let mut schemas = Map::new();
    for name in taken.chain(given) {
        let schema = match name.strip_prefix("Page of ") {
            Some(item) => {
                schemas.entry(item).or_insert_with(|| json!({ "type": "object", "title": item }));
                json!({
                    "type": "object", "title": name, "required": ["items"],
                    "properties": { "items": { "type": "array", "items": reference(item) }, "next": { "type": "string" } }
                })
            }
            None => json!({ "type": "object", "title": name }),
        };
        schemas.insert(schema_name(name), schema);
    }
    schemas.insert("Problem".to_owned(), problem_schema());
    schemas
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "description": "urn:pinrail:problem:<code>" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string", "description": "What failed and why, causes included" },
            "next_step": { "type": "string", "description": "What to do next" }
        },
        "additionalProperties": true
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", schema_name(name)) })
}

/// A component's name may hold no space.
fn schema_name(name: &str) -> String {
    name.replace("Page of ", "PageOf").replace([' ', '.'], "")
}

/// `post_deployments_deployment_rollback`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1");
    let words: Vec<&str> = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty()).collect();
    let method = match route.method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        _ => "delete",
    };
    format!("{method}_{}", if words.is_empty() { "page".to_owned() } else { words.join("_") })
}

fn tag(path: &str) -> &str {
    path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next()).unwrap_or("server")
}

/// The names in braces.
pub fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(&document("1.2.3")).unwrap();
        let mut ids = BTreeSet::new();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            assert_eq!(operation["summary"], route.summary, "{}", route.path);
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            assert_eq!(operation["security"] == json!([]), route.access == Access::Public);
        }
        let mut references = Vec::new();
        gather(&document, &mut references);
        assert!(references.len() > ROUTES.len());
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
        assert_eq!(codes.as_array().unwrap().len(), Code::ALL.len());
    }

    fn gather(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    references.push(to.clone());
                }
                map.values().for_each(|value| gather(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
