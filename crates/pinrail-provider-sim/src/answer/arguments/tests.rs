use super::*;

fn check(message: &str, schema: Value, want: Value) {
    assert_eq!(Words::of(message).arguments(&schema), want, "{message:?} for {schema}");
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

#[test]
fn arguments_come_from_the_message_and_the_schema() {
    let string = json!({"type": "string"});
    let text = |message, want| check(message, object(&["a"], json!({"a": string})), json!({"a": want}));
    text("read 'notes.txt' please", "notes.txt");
    text("don't read \"it's.txt\"", "it's.txt");
    text("look at “B 12”", "B 12");
    text("refund order 4711", "4711");
    text("go on", "example a");
    let one = |schema: Value, want: Value| {
        check("take 7 now", object(&["a"], json!({"a": schema})), json!({"a": want}))
    };
    one(json!({"type": "integer"}), json!(7));
    one(json!({"type": "number"}), json!(7));
    one(json!({"type": "integer", "maximum": 5}), json!(5));
    one(json!({"type": "integer", "minimum": 9}), json!(9));
    one(json!({"type": "string", "enum": ["x", "y"]}), json!("x"));
    one(json!({"const": 3}), json!(3));
    one(json!({"type": "string", "default": "d"}), json!("d"));
    one(json!({"type": "boolean"}), json!(true));
    one(json!({"type": ["null", "integer"]}), json!(7));
    one(json!({"anyOf": [{"type": "null"}, {"type": "integer"}]}), json!(7));
    one(json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}), json!([7, 1]));
    one(json!({"type": "string", "format": "date"}), json!("2026-01-15"));
    one(json!({"type": "string", "minLength": 3}), json!("7xx"));
    one(json!({"type": "object", "properties": {"b": {"type": "string"}}}), json!({}));
}

#[test]
fn only_required_properties_in_their_order() {
    let both = json!({"order": {"type": "string"}, "amount": {"type": "number"}, "note": {"type": "string"}});
    check(
        "order 4711 for 19.5",
        object(&["order", "amount"], both),
        json!({"order": "4711", "amount": 19.5}),
    );
    check("hello", Value::Null, json!({}));
    check("hello", json!({"type": "object"}), json!({}));
}

#[test]
fn references_and_all_of_are_followed_and_loops_end() {
    let schema = json!({
        "type": "object", "required": ["p", "q"],
        "properties": {"p": {"$ref": "#/$defs/point"}, "q": {"allOf": [{"$ref": "#/$defs/point"}]}},
        "$defs": {"point": object(&["x"], json!({"x": {"type": "integer"}}))},
    });
    check("at 3 and 4", schema, json!({"p": {"x": 3}, "q": {"x": 4}}));
    let endless = json!({"type": "object", "required": ["n"], "properties": {"n": {"$ref": "#"}}});
    assert!(Words::of("").arguments(&endless).is_object());
}

#[test]
fn used_up_words_are_offered_to_the_next_call() {
    let schema = object(&["path"], json!({"path": {"type": "string"}}));
    let mut words = Words::of("stat and read 'a.txt'");
    for _ in 0..2 {
        words.begin_call();
        assert_eq!(words.arguments(&schema), json!({"path": "a.txt"}));
    }
}

#[test]
fn a_schema_that_branches_everywhere_stays_small() {
    let names: Vec<String> = (0..10).map(|at| format!("p{at}")).collect();
    let properties: Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!({"$ref": "#"}))).collect();
    let schema = json!({"type": "object", "required": names, "properties": properties});
    assert!(Words::of("").arguments(&schema).to_string().len() < 100_000);
}

#[test]
fn a_long_message_is_searched_only_at_its_start() {
    let message = "é 'a ".repeat(2_000_000);
    check(&message, object(&["a"], json!({"a": {"type": "integer"}})), json!({"a": 1}));
}
