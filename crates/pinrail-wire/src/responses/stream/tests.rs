use super::*;

const LIMITS: Limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 1 << 16 };

/// An event with its name.
fn event(kind: &str, rest: &str) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{comma}{rest}}}\n\n")
}

fn delta(text: &str) -> String {
    event("response.output_text.delta", &format!(r#""output_index":0,"delta":"{text}""#))
}

fn end(status: &str, rest: &str) -> String {
    event(&format!("response.{status}"), &format!(r#""response":{{"status":"{status}","output":[]{rest}}}"#))
}

fn run(stream: &str) -> Finished {
    let mut observer = StreamObserver::new(LIMITS);
    let chunk = Bytes::copy_from_slice(stream.as_bytes());
    let out = observer.feed(chunk.clone()).unwrap();
    assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()), "passed on as it is");
    observer.finish()
}

#[test]
fn endings() {
    let check = |stream: &str, want: Ending| assert_eq!(run(stream).ending, want, "{stream:?}");
    let error = |text: &str| Ending::ErrorEvent(text.to_owned());
    check("", Ending::Cut);
    check(&delta("a"), Ending::Cut);
    check(&end("completed", ""), Ending::Done);
    check(end("completed", "").trim_end(), Ending::Done);
    check(&end("completed", "")[..60], Ending::Cut);
    check(&end("incomplete", ""), Ending::Done);
    check(&end("cancelled", ""), Ending::Cut);
    check("data: [DONE]\n\n", Ending::Cut);
    check(&end("failed", r#","error":{"code":"server_error","message":"m"}"#), error("m"));
    check(&end("failed", r#","error":null"#), error("the answer failed"));
    check(&event("error", r#""code":"c","message":"m","param":null"#), error("m"));
    check(&event("error", r#""error":{"type":"t","message":"m"}"#), error("m"));
    check("event: error\ndata: plain words\n\n", error("plain words"));
    check("data: {\"error\":{\"message\":\"m\"}}\n\n", error("m"));
    check(&event("response.new_call.failed", r#""error":{"message":"m"}"#), Ending::Cut);
    check(&format!("{}{}", event("error", r#""message":"m""#), end("completed", "")), error("m"));
}

#[test]
fn events_without_a_name_or_a_type_are_known_by_the_other() {
    let nameless = format!("{}{}", delta("ab"), end("completed", "")).replace("event: ", "id: ");
    let typeless = "event: response.output_text.delta\ndata: {\"delta\":\"ab\"}\n\nevent: response.completed\ndata: {\"response\":{}}\n\n";
    for stream in [&nameless, typeless] {
        let finished = run(stream);
        assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, "ab"), "{stream}");
    }
}

#[test]
fn nothing_is_counted_twice_and_nothing_forgotten() {
    let message = r#"{"type":"message","content":[{"type":"output_text","text":"ab"}]}"#;
    let call = |arguments: &str| {
        format!(r#"{{"type":"function_call","call_id":"c","name":"f","arguments":"{arguments}"}}"#)
    };
    let done = |at: u32, item: &str| {
        event("response.output_item.done", &format!(r#""output_index":{at},"item":{item}"#))
    };
    let arguments = |piece: &str| {
        event("response.function_call_arguments.delta", &format!(r#""output_index":1,"delta":"{piece}""#))
    };
    let completed =
        event("response.completed", &format!(r#""response":{{"output":[{message},{}]}}"#, call("[1]")));
    let streams = [
        [
            delta("a"),
            delta("b"),
            done(0, message),
            arguments("[1"),
            arguments("]"),
            done(1, &call("[1]")),
            completed.clone(),
        ]
        .concat(),
        [done(0, message), done(1, &call("[1]")), completed.clone()].concat(),
        completed.clone(),
    ];
    for stream in streams {
        let finished = run(&stream);
        let calls: Vec<_> =
            finished.observed.tool_calls.iter().map(|c| (&*c.id, &*c.name, &*c.arguments)).collect();
        assert_eq!((finished.text.text.as_str(), calls), ("ab", vec![("c", "f", "[1]")]), "{stream}");
        assert_eq!(
            (finished.observed.text_chars, finished.observed.finish_reason.as_deref()),
            (2, Some("tool_calls"))
        );
    }
}

#[test]
fn what_is_neither_text_nor_a_call_is_noticed() {
    let check = |kind: &str, rest: &str, want: (bool, bool)| {
        let observed = run(&event(kind, rest)).observed;
        assert_eq!((observed.refusal, observed.beyond_text), want, "{kind} {rest}");
    };
    check("response.refusal.delta", r#""output_index":0,"delta":"I can't""#, (true, false));
    check("response.refusal.delta", r#""output_index":0,"delta":"""#, (false, false));
    check("response.refusal.done", r#""output_index":0,"refusal":"I can't""#, (true, false));
    check("response.audio.delta", r#""delta":"UklGRg==""#, (false, true));
    check(
        "response.image_generation_call.partial_image",
        r#""partial_image_b64":"iVBORw0KGgo=""#,
        (false, false),
    );
    check("response.reasoning_text.delta", r#""output_index":0,"delta":"hm""#, (false, false));
}

#[test]
fn nonsense_is_counted_and_passed_on() {
    let finished = run(
        "data: {nonsense\n\nevent: ping\n\ndata: 7\n\ndata: {\"type\":\"response.new\",\"delta\":{}}\n\n",
    );
    assert_eq!((finished.unreadable_events, finished.ending), (2, Ending::Cut));
    let mut observer = StreamObserver::new(Limits { event_bytes_max: 10, ..LIMITS });
    assert!(observer.feed(Bytes::from_static(b"data: 0123456789")).is_err());
}

#[test]
fn text_is_gathered_up_to_its_bound() {
    let check = |text_bytes_max: usize, want: &str, cut: bool| {
        let mut observer = StreamObserver::new(Limits { text_bytes_max, ..LIMITS });
        observer.feed(Bytes::from(format!("{}{}", delta("Hello, "), delta("José")))).unwrap();
        assert_eq!(observer.finish().text, Gathered { text: want.to_owned(), cut }, "{text_bytes_max}");
    };
    check(12, "Hello, José", false);
    check(11, "Hello, Jos", true);
    check(0, "", true);
}
