use proptest::prelude::*;

use super::*;

/// An event that outlives its chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    name: Option<String>,
    id: Option<String>,
    data: Option<String>,
    raw: Vec<u8>,
    range: Range<u64>,
}

fn own(event: &Event<'_>) -> Owned {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Owned {
        name: event.name.map(text),
        id: event.id.map(text),
        data: event.data.as_deref().map(text),
        raw: event.raw.to_vec(),
        range: event.range.clone(),
    }
}

fn split<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<Owned>, Option<Owned>) {
    let mut splitter = Splitter::new(1 << 20);
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk, |event| events.push(own(&event))).unwrap();
    }
    (events, splitter.rest().map(|event| own(&event)))
}

#[test]
fn lines_fields_and_endings() {
    let check = |stream: &str, want: &[(Option<&str>, Option<&str>)], left: Option<&str>| {
        let (events, rest) = split([stream.as_bytes()]);
        let got: Vec<_> = events.iter().map(|e| (e.name.as_deref(), e.data.as_deref())).collect();
        assert_eq!(got, want, "{stream:?}");
        assert_eq!(rest.as_ref().and_then(|event| event.data.as_deref()), left, "{stream:?}");
    };
    check("data: a\n\n", &[(None, Some("a"))], None);
    check("data:a\r\n\r\ndata: b\r\n\r\n", &[(None, Some("a")), (None, Some("b"))], None);
    check("data: a\r\rdata: b\r\r", &[(None, Some("a"))], Some("b"));
    check("data: a\ndata: b\ndata\n\n", &[(None, Some("a\nb\n"))], None);
    check("data:  two\n\n", &[(None, Some(" two"))], None);
    check("event: ping\ndata: {}\n\n", &[(Some("ping"), Some("{}"))], None);
    check(": keep-alive\n\ndata: x\n\n", &[(None, None), (None, Some("x"))], None);
    check(": note\ndata: x\n\n", &[(None, Some("x"))], None);
    check("\n\ndata: x\n\n", &[(None, None), (None, None), (None, Some("x"))], None);
    check("\u{feff}data: x\n\n", &[(None, Some("x"))], None);
    check("\u{feff}\ndata: x\n\n", &[(None, Some("x"))], None);
    check("data: x\n\n\u{feff}data: y\n\n", &[(None, Some("x")), (None, None)], None);
    check("data: x\n", &[], Some("x"));
    check("data: x", &[], Some("x"));
    check("data:\n\n", &[(None, Some(""))], None);
    check("dat: x\nretry: 5\n\n", &[(None, None)], None);
}

#[test]
fn ids_are_read_and_nul_is_refused() {
    let (events, _) = split([&b"id: 7\ndata: x\n\nid: a\0b\ndata: y\n\n"[..]]);
    assert_eq!(events[0].id.as_deref(), Some("7"));
    assert_eq!(events[1].id, None);
}

#[test]
fn a_whole_event_is_borrowed_from_its_chunk() {
    let chunk = b"data: one\n\ndata: two\n\n";
    let mut seen = 0;
    Splitter::new(64)
        .feed(chunk, |event| {
            assert!(chunk.as_ptr_range().contains(&event.raw.as_ptr()));
            assert!(matches!(event.data, Some(Cow::Borrowed(_))));
            seen += 1;
        })
        .unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn an_event_over_the_limit_is_refused_wherever_it_is_split() {
    let stream = b"data: ok\n\ndata: 0123456789\n\ndata: never\n\n";
    for cut in 0..stream.len() {
        let mut splitter = Splitter::new(12);
        let mut given = 0;
        let (first, second) = stream.split_at(cut);
        let got = splitter.feed(first, |_| given += 1).and_then(|()| splitter.feed(second, |_| given += 1));
        assert_eq!(got, Err(EventTooLong { event_bytes_max: 12 }), "cut at {cut}");
        assert_eq!(given, 1, "cut at {cut}");
        assert!(splitter.feed(b"\n\ndata: x\n\n", |_| panic!("an event after the error")).is_err());
    }
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "(data|event|id)(:|: )[a-z{}é\"]{0,6}",
        1 => ":[a-z ]{0,5}",
        1 => "[a-z:]{0,4}",
        3 => Just(String::new()),
    ];
    let ending = prop_oneof![4 => Just("\n"), 3 => Just("\r\n"), 2 => Just("\r")];
    (any::<bool>(), prop::collection::vec((line, ending), 0..20), "[a-z:]{0,5}").prop_map(
        |(bom, lines, tail)| {
            let mut stream = if bom { BOM.to_vec() } else { Vec::new() };
            for (line, ending) in lines {
                stream.extend_from_slice(line.as_bytes());
                stream.extend_from_slice(ending.as_bytes());
            }
            stream.extend_from_slice(tail.as_bytes());
            stream
        },
    )
}

proptest! {
    #[test]
    fn every_split_gives_the_same_events(stream in any_stream()) {
        let whole = split([&stream[..]]);
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            prop_assert_eq!(&split([first, second]), &whole, "cut at {}", cut);
        }
        prop_assert_eq!(&split(stream.chunks(1)), &whole);
        prop_assert_eq!(&split(stream.chunks(3)), &whole);
    }

    #[test]
    fn the_blocks_tile_the_stream(stream in any_stream()) {
        let (events, rest) = split(stream.chunks(2));
        let mut all = Vec::new();
        for event in events.iter().chain(rest.as_ref()) {
            prop_assert_eq!(event.range.start, all.len() as u64);
            all.extend_from_slice(&event.raw);
            prop_assert_eq!(event.range.end, all.len() as u64);
        }
        prop_assert_eq!(all, stream);
    }
}
