use super::*;

mod fixtures;
mod refusals;
mod release;
mod round_trip;

const ALL: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    ALL.into_iter().flat_map(|from| ALL.into_iter().filter(move |to| *to != from).map(move |to| (from, to)))
}

#[test]
fn nothing_changes_within_a_dialect() {
    let body = br#"{ "model":"a", "what tomorrow brings": [1.0 ] }"#;
    for dialect in ALL {
        let converted = request(dialect, body, dialect, &Lossy::default()).unwrap();
        assert_eq!(converted, Converted { body: body.to_vec(), dropped: Vec::new() });
    }
}

#[test]
fn only_features_that_exist_may_be_lost() {
    assert!(Lossy::new(["seed", "n"]).unwrap().allows("seed"));
    let error = Lossy::new(["seed", "speed"]).unwrap_err();
    assert_eq!(error.name, "speed");
    assert!(error.to_string().contains("`speed`") && error.to_string().contains("allowed_tools, audio"));
    assert!(Lossy::new([MALFORMED]).is_err());
    assert!(FEATURES.is_sorted_by_key(|feature| feature.name), "in order of their names");
}

#[test]
fn the_docs_list_what_may_be_lost() {
    let docs = include_str!("../../../../docs/conversion.md");
    for Feature { name, about } in FEATURES {
        assert!(docs.contains(&format!("| `{name}` | {about} |")), "docs/conversion.md lacks {name}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let body =
        br#"{"model":"a","n":3,"seed":1,"logit_bias":{"5":1},"logprobs":true,"top_logprobs":2,"stop":[" "],
        "messages":[{"role":"user","content":"hi"}]}"#;
    let refused = request(Dialect::Chat, body, Dialect::Messages, &Lossy::default()).unwrap_err();
    assert_eq!(refused.param(), Some("n"));
    assert_eq!(
        refused.to_string(),
        "the request can't be carried to the provider's format: `n` asks for several answers, and the provider gives one; \
         `logprobs` has no counterpart in the provider's format; `top_logprobs` has no counterpart in the provider's format; \
         `logit_bias` has no counterpart in the provider's format; and 2 more. Leave out what can't be carried, pin a model whose \
         provider speaks the client's format, or let the release lose it: lossy = [\"n\", \"logprobs\", \"logit_bias\", \"seed\", \"stop\"]"
    );
    let refused = request(Dialect::Chat, b"[]", Dialect::Messages, &Lossy::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the request can't be carried to the provider's format: the body must be an object. Correct the request"
    );
}
