use proptest::prelude::*;
use serde_json::Map;

use super::super::super::thinking::{Seal, Thought};
use super::super::parts::{Answer, Block, Called, Citation, Head, Opening, Piece, Stop, Text, Usage, chars};
use super::super::to_chat::ToChat;
use super::super::to_messages::ToMessages;
use super::super::to_responses::ToResponses;
use super::super::*;
use super::fold::{fold, plain};
use super::{ALL, FIXTURES, about, others, stream};

/// An answer of what all dialects have in common, in the order that chat gives it.
fn any_answer() -> impl Strategy<Value = Answer> {
    let seal = prop_oneof![Just(None), "[A-Za-z0-9+/=]{1,12}".prop_map(|text| Some(Seal::Signature(text))),];
    let thought = prop_oneof![
        4 => ("[a-zé \n\"]{1,12}", seal).prop_map(|(text, seal)| Thought { text, seal }),
        1 => "[A-Za-z0-9=]{1,9}".prop_map(|data| Thought { text: String::new(), seal: Some(Seal::Redacted(data)) }),
    ];
    let cited = ("[a-z]{1,5}", "[a-z ]{0,5}", 0..20_u64, 0..20_u64).prop_map(|(url, title, start, end)| {
        Citation { url: format!("https://{url}"), title, range: Some((start, start + end)) }
    });
    let text = ("[a-zé☂ \n\"{}\\\\]{1,24}", prop::collection::vec(cited, 0..3))
        .prop_map(|(text, citations)| Text { text, citations, logprobs: Vec::new() });
    let arguments = prop::collection::btree_map("[a-z\"]{0,3}", "[a-z{}\"\\\\]{0,6}", 0..3);
    let call = ("[a-z:.]{1,6}", "[a-z_]{1,6}", arguments)
        .prop_map(|(id, name, arguments)| (id, name, serde_json::to_string(&arguments).unwrap()));
    let usage = (0..999_u64, 0..999_u64, 0..999_u64, 0..999_u64, 0..999_u64).prop_map(
        |(fresh, cached, cache_written, output, reasoning)| Usage {
            input: fresh + cached + cache_written,
            cached,
            cache_written,
            output: output + reasoning,
            reasoning,
        },
    );
    let stop =
        prop_oneof![3 => Just(None), 1 => Just(Some(Stop::Length)), 1 => Just(Some(Stop::Filter(None)))];
    let thoughts = prop::collection::vec(thought, 0..3);
    let calls = prop::collection::vec(call, 0..4);
    (thoughts, prop::option::of(text), calls, usage, stop).prop_map(|(thoughts, text, calls, usage, stop)| {
        let natural = if calls.is_empty() { Stop::End } else { Stop::Calls };
        let mut answer = Answer::default();
        (answer.stop, answer.usage) = (stop.unwrap_or(natural), Some(usage));
        answer.head =
            Head { id: Some("x_1".to_owned()), model: Some("served".to_owned()), ..Head::default() };
        answer.blocks.extend(thoughts.into_iter().map(Block::Thought));
        answer.blocks.extend(text.map(Block::Text));
        let place = |(at, (id, name, arguments))| {
            let called = Called { id: format!("{id}{at}"), name, free_text: false };
            Block::Call { called, arguments }
        };
        answer.blocks.extend(calls.into_iter().enumerate().map(place));
        answer
    })
}

fn whole(answer: &Answer, dialect: Dialect) -> Vec<u8> {
    match dialect {
        Dialect::Chat => to_chat::whole(answer, &about()),
        Dialect::Responses => to_responses::whole(answer, &about()),
        Dialect::Messages => to_messages::whole(answer, &about(), &Lossy::default()).unwrap(),
    }
}

/// The steps of an answer, with its texts cut after every `step` characters; calls come by turns.
fn pieces(answer: &Answer, step: usize) -> Vec<Piece> {
    let mut pieces = vec![Piece::Head(answer.head.clone())];
    let cut = |block: usize, text: &str| -> Vec<Piece> {
        let chars: Vec<char> = text.chars().collect();
        chars.chunks(step).map(|chunk| Piece::text(block, &chunk.iter().collect::<String>())).collect()
    };
    let mut calls = Vec::new();
    for (at, block) in answer.blocks.iter().enumerate() {
        let (opening, text) = match block {
            Block::Text(text) => (Opening::Text, &text.text),
            Block::Refusal(text) => (Opening::Refusal, text),
            Block::Thought(thought) => (Opening::Thought, &thought.text),
            Block::Call { called, arguments } => (Opening::Call(called.clone()), arguments),
        };
        let is_call = matches!(opening, Opening::Call(_));
        let mut steps = vec![Piece::Open { block: at, opening }];
        steps.extend(cut(at, text));
        if let Block::Text(text) = block {
            steps.extend(
                text.citations.iter().map(|cited| Piece::Cite { block: at, citation: cited.clone() }),
            );
        }
        if let Block::Thought(Thought { seal: Some(seal), .. }) = block {
            steps.push(Piece::Seal { block: at, seal: seal.clone() });
        }
        steps.push(Piece::Close { block: at });
        if is_call {
            calls.push(steps.into_iter());
        } else {
            pieces.extend(steps);
        }
    }
    while !calls.is_empty() {
        calls.retain_mut(|call| call.next().map(|piece| pieces.push(piece)).is_some());
    }
    pieces.extend([Piece::Stop(answer.stop.clone()), Piece::End(answer.usage)]);
    pieces
}

fn events(pieces: Vec<Piece>, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut chat, mut responses) = (ToChat::new(&about()), ToResponses::new(&about()));
    let mut messages = ToMessages::new(&about(), &Lossy::default());
    for piece in pieces {
        match dialect {
            Dialect::Chat => chat.write(piece, &mut out),
            Dialect::Responses => responses.write(piece, &mut out).unwrap(),
            Dialect::Messages => messages.write(piece, &mut out).unwrap(),
        }
    }
    out
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Puts something else in the place of one value inside.
fn spoil(value: &mut Value, mut at: usize, with: &Value) -> usize {
    if at == 0 {
        *value = with.clone();
    }
    let inner: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for inner in inner {
        if at == 0 {
            break;
        }
        at = spoil(inner, at - 1, with);
    }
    at
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn there_and_back_loses_nothing(answer in any_answer()) {
        for from in ALL {
            let first = whole(&answer, from);
            for to in others(from) {
                let there = super::super::answer(from, &first, to, &about(), &Lossy::default()).unwrap();
                let back = super::super::answer(to, &there, from, &about(), &Lossy::default()).unwrap();
                prop_assert_eq!(read(&back), read(&first), "{:?} to {:?}: {}", from, to, read(&there));
            }
        }
    }

    #[test]
    fn a_stream_converts_to_what_its_answer_converts_to(
        answer in any_answer(),
        step in 1..9_usize,
        chunk in 1..200_usize,
    ) {
        for from in ALL {
            let first = whole(&answer, from);
            let pieces = pieces(&answer, step);
            let sent = events(pieces, from);
            prop_assert_eq!(fold(from, &sent), plain(from, read(&first)), "{:?}", from);
            for to in others(from) {
                let there = super::super::answer(from, &first, to, &about(), &Lossy::default()).unwrap();
                let (out, failed) = stream(from, sent.chunks(chunk), to, &Lossy::default());
                prop_assert_eq!(failed, None);
                prop_assert_eq!(fold(to, &out), plain(to, read(&there)), "{:?} to {:?}", from, to);
            }
        }
    }

    #[test]
    fn nonsense_never_panics(
        which in any::<prop::sample::Index>(),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0..60_usize), 1..12),
        with in prop_oneof![
            Just(Value::Null), Just(Value::from(-1)), Just(Value::from("x")), Just(Value::from(1e300)),
            Just(Value::Array(vec![Value::Null])), Just(Value::Object(Map::new())),
        ],
    ) {
        let fixture = which.get(FIXTURES);
        let all = Lossy::new(super::super::super::FEATURES.iter().map(|feature| feature.name)).unwrap();
        let blocks: Vec<&str> = fixture.stream.split_inclusive("\n\n").collect();
        for to in ALL {
            let mut events = String::new();
            for (index, at) in &order {
                let block = index.get(&blocks);
                let data = block.split_once("data: ").map_or("null", |(_, data)| data.trim());
                let mut value: Value = serde_json::from_str(data).unwrap_or_default();
                spoil(&mut value, *at, &with);
                events.push_str(&format!("data: {value}\n\n"));
                let mut body = read(fixture.whole.as_bytes());
                spoil(&mut body, *at, &with);
                let body = body.to_string();
                let _ = super::super::answer(fixture.from, body.as_bytes(), to, &about(), &all);
                let _ = error(fixture.from, 400, body.as_bytes(), to);
            }
            let _ = stream(fixture.from, [events.as_bytes()], to, &all);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for from in ALL {
            for to in ALL {
                let _ = super::super::answer(from, &bytes, to, &about(), &Lossy::default());
                let _ = error(from, 500, &bytes, to);
                let _ = stream(from, [&bytes[..]], to, &Lossy::default());
            }
        }
        prop_assert_eq!(chars("é☂"), 2);
    }
}
