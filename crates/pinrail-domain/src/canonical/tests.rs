use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn writes_what_the_rfc_writes() {
    let check = |value: Value, expected: &str| {
        assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), expected);
    };
    // Section 3.2.2 and 3.2.3 of RFC 8785.
    check(
        json!({"numbers": [333_333_333.333_333_3, 1e30, 4.50, 2e-3, 1e-27],
               "string": "\u{20ac}$\u{000F}\u{000a}A'\u{0042}\u{0022}\u{005c}\\\"/",
               "literals": [null, true, false]}),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
         \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
    );
    // Keys sort by UTF-16 code units: the emoji's surrogates come before U+FB33.
    check(
        json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "1": 4, "\r": 5}),
        "{\"\\r\":5,\"1\":4,\"€\":3,\"😀\":2,\"\u{fb33}\":1}",
    );
    check(json!(-0.0), "0");
    check(json!(9_007_199_254_740_991_u64), "9007199254740991");
}

#[test]
fn refuses_integers_that_doubles_cannot_tell_apart() {
    for bad in [
        json!(9_007_199_254_740_992_u64),
        json!({"a": [i64::MIN]}),
        json!(u64::MAX),
        json!(2.120_982_755_688_140_5e18),
    ] {
        assert!(matches!(to_vec(&bad), Err(NotCanonical::UnsafeInteger(_))), "{bad}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>()
            .prop_filter("canonical", |f| f.is_finite() && !(9e15..1e21).contains(&f.abs()))
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// I1: reading the canonical text back and writing it again changes nothing, so anyone can recompute an id.
    #[test]
    fn canonical_text_is_a_fixed_point(value in any_json()) {
        let once = to_vec(&value).unwrap();
        let read: Value = serde_json::from_slice(&once).unwrap();
        prop_assert_eq!(to_vec(&read).unwrap(), once);
    }
}
