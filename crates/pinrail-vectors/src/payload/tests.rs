use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::filter::{BadFilter, Why};

/// Whether a payload passes a filter, worked out on the JSON itself.
fn passes(filter: &Value, payload: &Value) -> bool {
    filter.as_object().unwrap().iter().all(|(key, part)| match key.as_str() {
        "and" => part.as_array().unwrap().iter().all(|part| passes(part, payload)),
        "or" => part.as_array().unwrap().iter().any(|part| passes(part, payload)),
        "not" => !passes(part, payload),
        path => {
            let there = find(payload, path);
            let values: Vec<&Value> = match there {
                Some(Value::Array(items)) => items.iter().collect(),
                Some(value) => vec![value],
                None => Vec::new(),
            };
            let Some(conditions) = part.as_object() else {
                return values.iter().any(|value| same(value, part));
            };
            let ends =
                ["gt", "gte", "lt", "lte"].into_iter().filter_map(|end| Some((end, conditions.get(end)?)));
            let ends: Vec<_> = ends.collect();
            let within = |value: &&&Value| ends.iter().all(|(end, other)| holds(end, value, other));
            let range = ends.is_empty() || values.iter().any(|value| within(&value));
            range
                && conditions.iter().all(|(condition, operand)| match condition.as_str() {
                    "in" => {
                        let among = operand.as_array().unwrap();
                        values.iter().any(|value| among.iter().any(|other| same(value, other)))
                    }
                    "ne" => !values.iter().any(|value| same(value, operand)),
                    "exists" => there.is_some() == operand.as_bool().unwrap(),
                    _ => true,
                })
        }
    })
}

fn find<'a>(payload: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(payload, |value, key| value.as_object()?.get(key))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn holds(end: &str, a: &Value, b: &Value) -> bool {
    let order = match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap().partial_cmp(&b.as_f64().unwrap()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    order.is_some_and(|order| match end {
        "gt" => order.is_gt(),
        "gte" => order.is_ge(),
        "lt" => order.is_lt(),
        _ => order.is_le(),
    })
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        prop::sample::select(vec![-1.5, 0.0, 0.5, 1.0, 2.5, 1e40]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "b", "2026-01-01", "2026-02-01", "ä"]).prop_map(Value::from),
    ]
}

fn ordered() -> impl Strategy<Value = Value> {
    scalars().prop_filter("ordered", |value| value.is_number() || value.is_string())
}

fn payloads() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        4 => scalars(),
        2 => prop::collection::vec(scalars(), 0..4).prop_map(Value::from),
        1 => Just(json!({"x": 1})),
        1 => scalars().prop_map(|value| json!({"x": value, "y": [value, "a"]})),
    ];
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), value, 0..4).prop_map(|fields| {
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
    })
}

fn filters() -> impl Strategy<Value = Value> {
    let range = (ordered(), prop::sample::select(vec!["gt", "gte"]), prop::sample::select(vec!["lt", "lte"]))
        .prop_flat_map(|(low, from, to)| {
            let text = low.is_string();
            let high = ordered().prop_filter("of one kind", move |high| high.is_string() == text);
            (Just(low), Just(from), Just(to), high, 0..3)
        })
        .prop_map(|(low, from, to, high, ends)| match ends {
            0 => json!({from: low}),
            1 => json!({to: high}),
            _ => json!({from: low, to: high, "exists": true}),
        });
    let test = prop_oneof![
        scalars(),
        prop::collection::vec(scalars(), 0..4).prop_map(|values| json!({"in": values})),
        scalars().prop_map(|value| json!({"ne": value})),
        any::<bool>().prop_map(|there| json!({"exists": there})),
        range,
    ];
    let field = (prop::sample::select(vec!["a", "b", "c", "a.x", "b.y", "c.z"]), test);
    let leaf = prop::collection::vec(field, 0..3).prop_map(|fields| {
        fields.into_iter().map(|(path, test)| (path.to_owned(), test)).collect::<Map<_, _>>().into()
    });
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| json!({"and": all})),
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|any| json!({"or": any, "a": {"exists": true}})),
            inner.prop_map(|one| json!({"not": one})),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_lets_through_what_the_json_says(
        payloads in prop::collection::vec(prop::option::of(payloads()), 1..30),
        filter in filters(),
    ) {
        let mut index = Payloads::default();
        for (place, payload) in payloads.iter().enumerate() {
            if let Some(payload) = payload {
                index.insert(place, read(payload).unwrap());
            }
        }
        let parsed = Filter::parse(&filter).unwrap();
        let expected: Bits = payloads
            .iter()
            .enumerate()
            .filter(|(_, payload)| payload.as_ref().is_some_and(|payload| passes(&filter, payload)))
            .map(|(place, _)| place)
            .collect();
        let found = index.resolve(&parsed);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        let again: Filter = serde_json::from_str(&serde_json::to_string(&parsed).unwrap()).unwrap();
        let found_again = index.resolve(&again);
        prop_assert_eq!(found_again.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn what_is_wrong_with_a_filter_is_said_with_its_place() {
    let check = |filter: Value, at: &str, why: Why| {
        assert_eq!(Filter::parse(&filter), Err(BadFilter { at: at.to_owned(), why }), "{filter}");
    };
    check(json!([]), "$", Why::NotAnObject);
    check(json!({"or": {"a": 1}}), "$.or", Why::NotAList);
    check(json!({"and": [{"a": 1}, 2]}), "$.and[1]", Why::NotAnObject);
    check(json!({"not": {"a": [1]}}), "$.not.a", Why::NotAScalar);
    check(json!({"a": {"in": [1, {}]}}), "$.a.in[1]", Why::NotAScalar);
    check(json!({"a": {"in": 1}}), "$.a.in", Why::NotAList);
    check(json!({"a": {}}), "$.a", Why::NoCondition);
    check(json!({"a": {"like": "x"}}), "$.a.like", Why::UnknownCondition);
    check(json!({"a": {"exists": 1}}), "$.a.exists", Why::NotABool);
    check(json!({"a": {"gt": true}}), "$.a.gt", Why::NotOrdered);
    check(json!({"a": {"gt": 1, "lt": "b"}}), "$.a", Why::MixedRange);
    check(json!({"a": {"gt": 1, "gte": 2}}), "$.a.gte", Why::TwoBounds);
    check(json!({"a": "x".repeat(TEXT_BYTES_MAX + 1)}), "$.a", Why::TextTooLong);
    check(json!({"a": {"in": vec![1; crate::filter::CONDITIONS_MAX]}}), "$.a.in", Why::TooMany);
    let mut deep = json!({"a": 1});
    for _ in 0..=crate::filter::DEPTH_MAX {
        deep = json!({"not": deep});
    }
    let at = format!("${}", ".not".repeat(crate::filter::DEPTH_MAX + 1));
    check(deep, &at, Why::TooDeep);
    let text = Filter::parse(&json!({"a": {"like": "x"}})).unwrap_err().to_string();
    assert!(text.starts_with("filter at $.a.like: unknown condition"), "{text}");
}

#[test]
fn payloads_have_limits_with_names() {
    let check = |payload: Value, expected: Option<BadPayload>| assert_eq!(read(&payload).err(), expected);
    let many =
        |fields: usize| (0..fields).map(|number| (number.to_string(), json!(1))).collect::<Map<_, _>>();
    check(json!("x"), Some(BadPayload::NotAnObject));
    check(many(FIELDS_MAX).into(), None);
    check(many(FIELDS_MAX + 1).into(), Some(BadPayload::TooManyFields));
    check(json!({"a": vec![1; VALUES_MAX]}), None);
    check(json!({"a": vec![1; VALUES_MAX + 1]}), Some(BadPayload::TooManyValues));
    let long = "k".repeat(PATH_BYTES_MAX + 1);
    check(json!({long.clone(): 1}), Some(BadPayload::PathTooLong { path: long }));
    let deep = |depth: usize| (1..depth).fold(json!({"a": 1}), |inner, _| json!({"a": inner}));
    check(deep(DEPTH_MAX), None);
    check(deep(DEPTH_MAX + 1), Some(BadPayload::TooDeep { path: ["a"; DEPTH_MAX].join(".") }));
}

#[test]
fn passages_and_large_numbers_are_not_mistaken() {
    let mut index = Payloads::default();
    let passage = "long ".repeat(100);
    let payloads = [
        json!({"text": passage, "id": 9_007_199_254_740_993_i64}),
        json!({"text": "short", "id": 9_007_199_254_740_992_i64}),
        json!({"text": null, "id": 18_446_744_073_709_551_615_u64}),
        json!({"id": 1.0}),
    ];
    for (place, payload) in payloads.iter().enumerate() {
        index.insert(place, read(payload).unwrap());
    }
    let check = |filter: Value, expected: &[usize]| {
        let found = index.resolve(&Filter::parse(&filter).unwrap());
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    };
    check(json!({"text": {"exists": true}}), &[0, 1, 2]);
    check(json!({"text": {"gte": ""}}), &[1]);
    check(json!({"text": {"ne": "short"}}), &[0, 2, 3]);
    check(json!({"text": null}), &[2]);
    check(json!({"id": 9_007_199_254_740_993_i64}), &[0]);
    check(json!({"id": {"gt": 9_007_199_254_740_992_i64}}), &[0, 2]);
    check(json!({"id": 1}), &[3]);
    check(json!({"id": {"gt": 1e30}}), &[]);
    check(json!({"id": {"gt": 3, "lt": 2}}), &[]);
    assert!(index.bytes() > 0);
}
