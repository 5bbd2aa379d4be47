use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::*;
use crate::convert::turns::{
    Arguments, Call, Choice, Effort, File, FileSource, Format, Image, ImageSource, Named, Output, Part,
    Reasoning, Said, Takes, Tool, Turn, Wish,
};

type Text = Cow<'static, str>;

fn text() -> impl Strategy<Value = Text> {
    "[a-zA-Z\"\\\\é\u{1F600}\n{}]{0,6}[a-z]".prop_map(Cow::Owned)
}

fn name() -> impl Strategy<Value = Text> {
    select(vec!["look", "issue_refund", "a-b"]).prop_map(Cow::Borrowed)
}

fn said<T>(value: T) -> Said<T> {
    Said { path: String::new(), value }
}

fn base64() -> impl Strategy<Value = Text> {
    select(vec!["aGk=", "AAAA", "JVBERi0xLjQ="]).prop_map(Cow::Borrowed)
}

/// What a user may say in every dialect.
fn shown() -> impl Strategy<Value = What<'static>> {
    let url = ImageSource::Url(Cow::Borrowed("https://a.example/b.png"));
    let source = prop_oneof![
        Just(url),
        (select(vec!["image/png", "image/jpeg"]), base64())
            .prop_map(|(media, data)| ImageSource::Data { media: Cow::Borrowed(media), data }),
    ];
    let file = prop_oneof![
        base64().prop_map(|data| FileSource::Data { media: Cow::Borrowed(media::PDF), data }),
        text().prop_map(FileSource::Text),
    ];
    prop_oneof![
        4 => text().prop_map(What::Text),
        1 => source.prop_map(|source| What::Image(Image { source, detail: None })),
        1 => (name(), file).prop_map(|(name, source)| What::File(File { name: Some(name), source })),
    ]
}

fn part(what: What<'static>) -> Part<'static> {
    Part::new("", what)
}

fn turn(role: Role, parts: Vec<What<'static>>) -> Turn<'static> {
    Turn { path: String::new(), role, parts: parts.into_iter().map(part).collect() }
}

/// One exchange: the user speaks, perhaps the application does, the assistant answers, and calls tools for some rounds.
fn exchange() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let call = ("[a-z.:é_-]{1,5}", name(), select(vec!["{}", r#"{ "z":1, "a":[null,1.0,"é"] }"#]), text());
    let round = (vec(text(), 0..2), vec(call, 1..3));
    (vec(shown(), 1..3), option::of(text()), vec(round, 0..3), vec(text(), 1..3)).prop_map(
        |(user, system, rounds, last)| {
            let mut turns = vec![turn(Role::User, user)];
            turns.extend(system.map(|text| turn(Role::System, vec![What::Text(text)])));
            for (at, (texts, calls)) in rounds.into_iter().enumerate() {
                let mut parts: Vec<_> = texts.into_iter().map(What::Text).collect();
                let mut results = Vec::new();
                for (nth, (id, name, arguments, result)) in calls.into_iter().enumerate() {
                    let id: Text = Cow::Owned(format!("{id}{at}{nth}"));
                    let content = vec![part(What::Text(result))];
                    results.push(What::Result(Output { id: id.clone(), content, failed: false }));
                    let arguments = Arguments::Json(Cow::Borrowed(arguments));
                    parts.push(What::Call(Call { id, name, arguments }));
                }
                turns.push(turn(Role::Assistant, parts));
                turns.push(turn(Role::User, results));
            }
            turns.push(turn(Role::Assistant, last.into_iter().map(What::Text).collect()));
            turns
        },
    )
}

fn tool() -> impl Strategy<Value = Tool<'static>> {
    let schema = select(vec![
        r#"{"type":"object","properties":{}}"#,
        r#"{ "type":"object","properties":{"z":{"type":"string"},"a":{}},"required":["z"] }"#,
    ]);
    (name(), option::of(text()), schema, any::<bool>()).prop_map(|(name, description, schema, strict)| Tool {
        path: String::new(),
        name,
        description,
        takes: Takes::Schema { schema, strict },
    })
}

fn choice() -> impl Strategy<Value = Choice<'static>> {
    prop_oneof![
        Just(Choice::Auto),
        Just(Choice::Never),
        Just(Choice::Any),
        name().prop_map(|name| Choice::Tool(Named { name, free: false })),
    ]
}

/// What all three dialects can say.
fn form() -> impl Strategy<Value = Form<'static>> {
    let talk = (vec(text(), 0..3), vec(exchange(), 0..3), vec(shown(), 1..3));
    let tools = (option::of(vec(tool(), 1..3)), option::of(choice()), any::<bool>());
    let numbers = (
        select(vec!["1", "800"]),
        option::of(select(vec!["0", "0.2", "1.0"])),
        option::of(select(vec!["0.9", "1"])),
    );
    let wish = prop_oneof![
        Just(Wish::Off),
        select(vec![Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max])
            .prop_map(Wish::On),
    ];
    let rest = (
        option::of(wish),
        any::<bool>(),
        option::of(text()),
        option::of(select(vec!["auto", "default"])),
        option::of(select(vec!["true", "false"])),
    );
    (talk, tools, numbers, rest).prop_map(|(talk, (tools, choice, single), numbers, rest)| {
        let (system, exchanges, last) = talk;
        let (tokens_max, temperature, top_p) = numbers;
        let (wish, schema, user, tier, stream) = rest;
        let mut turns: Vec<_> = exchanges.into_iter().flatten().collect();
        turns.push(turn(Role::User, last));
        let forced = matches!(choice, Some(Choice::Any | Choice::Tool(_)));
        let format = Format::Schema {
            name: Some(Cow::Borrowed("answer")),
            description: None,
            schema: r#"{"type":"object","properties":{"z":{},"a":{}}}"#,
            strict: true,
        };
        Form {
            model: Some(r#""support""#),
            stream,
            system,
            turns,
            tools,
            parallel: (single && choice != Some(Choice::Never)).then_some(false),
            choice: choice.map(said),
            tokens_max: Some(tokens_max),
            temperature: temperature.filter(|_| wish.is_none_or(|wish| wish == Wish::Off)).map(said),
            top_p,
            format: schema.then(|| said(format)),
            reasoning: wish.filter(|_| !forced).map(|wish| said(Reasoning { wish, summary: None })),
            user,
            tier: tier.map(|tier| said(Cow::Borrowed(tier))),
            ..Form::default()
        }
    })
}

/// The form without paths, and with the same spelling for what means the same.
fn plain(mut form: Form<'_>) -> Form<'_> {
    fn bare<T>(said: &mut Option<Said<T>>) {
        if let Some(said) = said {
            said.path.clear();
        }
    }
    bare(&mut form.choice);
    bare(&mut form.temperature);
    bare(&mut form.format);
    bare(&mut form.reasoning);
    bare(&mut form.tier);
    form.store = None;
    if form.choice == Some(said(Choice::Auto)) {
        form.choice = None;
    }
    if let Some(Said { value: Format::Schema { name, .. }, .. }) = &mut form.format {
        *name = None;
    }
    for tool in form.tools.iter_mut().flatten() {
        tool.path.clear();
    }
    for turn in &mut form.turns {
        turn.path.clear();
        for part in &mut turn.parts {
            part.path.clear();
            if let What::Result(output) = &mut part.what {
                output.content.iter_mut().for_each(|part| part.path.clear());
            }
        }
    }
    form
}

fn read_plain(dialect: Dialect, body: &str) -> Form<'_> {
    let lossy = Lossy::default();
    let mut losses = Losses::new(&lossy);
    let form = read(dialect, object(body.as_bytes(), &mut losses).unwrap(), &mut losses);
    assert_eq!(losses.settle(), Ok(Vec::new()), "{body}");
    plain(form)
}

/// Keys that the readers look for.
const KEYS: &[&str] = &[
    "messages",
    "input",
    "role",
    "content",
    "type",
    "text",
    "tool_calls",
    "id",
    "call_id",
    "name",
    "function",
    "arguments",
    "tools",
    "tool_choice",
    "input_schema",
    "source",
    "image_url",
    "file",
    "thinking",
    "reasoning",
    "reasoning_details",
    "output",
    "output_config",
    "format",
    "schema",
    "metadata",
    "system",
    "custom",
    "x",
];

/// Words that they know.
const WORDS: &[&str] = &[
    "user",
    "assistant",
    "system",
    "tool",
    "text",
    "function",
    "custom",
    "tool_use",
    "tool_result",
    "image",
    "document",
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "thinking",
    "json_schema",
    "base64",
    "url",
    "allowed_tools",
    "none",
    "high",
    "",
    "é",
    "data:;base64,",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(KEYS), inner), 0..6).prop_map(|map| Value::Object(
                map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

/// Puts something else in the place of the `at`th value.
fn break_at(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| break_at(item, at, with)),
        Value::Object(map) => map.values_mut().for_each(|item| break_at(item, at, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Says that a conversion gave JSON, or named what is wrong.
fn is_sound(body: &[u8], from: Dialect, to: Dialect) -> bool {
    let every = Lossy::new(FEATURES.iter().map(|feature| feature.name)).unwrap();
    [&Lossy::default(), &every].iter().all(|lossy| match request(from, body, to, lossy) {
        Ok(converted) => serde_json::from_slice::<Value>(&converted.body).is_ok(),
        Err(refused) => !refused.fields.is_empty() && !refused.to_string().is_empty(),
    })
}

proptest! {
    #[test]
    fn there_and_back_loses_nothing(form in form()) {
        for (from, to) in pairs() {
            let lossy = Lossy::default();
            let mut losses = Losses::new(&lossy);
            let body = write(from, &form, &mut losses);
            prop_assert_eq!(losses.settle(), Ok(Vec::new()), "{}", body);
            let want = plain(form.clone());
            prop_assert_eq!(read_plain(from, &body), want.clone(), "{} as {}", body, from.word());

            let there = request(from, body.as_bytes(), to, &lossy).unwrap();
            let there = String::from_utf8(there.body).unwrap();
            prop_assert_eq!(read_plain(to, &there), want.clone(), "{} to {}", body, there);

            let back = request(to, there.as_bytes(), from, &lossy).unwrap();
            let back = String::from_utf8(back.body).unwrap();
            prop_assert_eq!(read_plain(from, &back), want, "{} back to {}", there, back);
        }
    }

    #[test]
    fn nonsense_is_refused_and_never_worse(value in any_json(), bytes in vec(any::<u8>(), 0..20)) {
        for body in [value.to_string().into_bytes(), bytes] {
            for (from, to) in pairs() {
                prop_assert!(is_sound(&body, from, to), "{} to {}", from.word(), to.word());
            }
        }
    }

    #[test]
    fn a_request_with_one_broken_place_is_no_worse(form in form(), at in any::<usize>(), with in any_json()) {
        for (from, to) in pairs() {
            let lossy = Lossy::default();
            let mut body: Value = serde_json::from_str(&write(from, &form, &mut Losses::new(&lossy))).unwrap();
            let mut place = at % 150;
            break_at(&mut body, &mut place, &with);
            prop_assert!(is_sound(body.to_string().as_bytes(), from, to), "{body} as {}", from.word());
        }
    }
}
