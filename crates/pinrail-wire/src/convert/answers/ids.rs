//! Ids of answers, items and calls, in the form of the client's dialect and recognisable as the provider's.

use crate::dialect::Dialect;

/// The part of an answer's id that its provider chose, without the dialect's prefix; `ours` where it gave none.
pub(super) fn stem(given: Option<&str>, ours: &str) -> String {
    let bare = |id: &str| {
        let known = ["chatcmpl-", "resp_", "msg_"].into_iter().find_map(|prefix| id.strip_prefix(prefix));
        plain(known.unwrap_or(id))
    };
    match given.map(bare) {
        Some(stem) if !stem.is_empty() => stem,
        Some(_) | None => bare(ours),
    }
}

/// The answer's id in a dialect.
pub(super) fn answer(stem: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Chat => format!("chatcmpl-{stem}"),
        Dialect::Responses => format!("resp_{stem}"),
        Dialect::Messages => format!("msg_{stem}"),
    }
}

/// The id of a call: the provider's own, or, where it gave none, one made of the answer's and the call's place.
pub(super) fn call(given: &str, stem: &str, place: usize) -> String {
    if given.is_empty() { format!("call_{stem}_{place}") } else { given.to_owned() }
}

/// The id of a call's item in responses.
pub(super) fn call_item(call: &str, free_text: bool) -> String {
    let prefix = if free_text { "ctc" } else { "fc" };
    format!("{prefix}_{}", plain(call.strip_prefix("call_").unwrap_or(call)))
}

/// Replaces what ids may not hold; the answer is ASCII.
fn plain(text: &str) -> String {
    text.chars().map(|c| if u8::try_from(c).is_ok_and(is_plain) { c } else { '_' }).collect()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_what_the_provider_chose() {
        let check = |given: Option<&str>, to: Dialect, want: &str| {
            assert_eq!(answer(&stem(given, "run-7"), to), want, "{given:?}");
        };
        check(Some("chatcmpl-9x"), Dialect::Messages, "msg_9x");
        check(Some("msg_01AbC"), Dialect::Chat, "chatcmpl-01AbC");
        check(Some("msg_01AbC"), Dialect::Responses, "resp_01AbC");
        check(Some("gen-17/3"), Dialect::Responses, "resp_gen-17_3");
        check(Some(""), Dialect::Chat, "chatcmpl-run-7");
        check(None, Dialect::Chat, "chatcmpl-run-7");
    }

    #[test]
    fn ids_of_calls_stay_or_are_made_up() {
        assert_eq!(call("functions.weather:0", "s", 0), "functions.weather:0");
        assert_eq!(call("", "9x", 2), "call_9x_2");
        assert_eq!(call_item("call_7", false), "fc_7");
        assert_eq!(call_item("functions.weather:0", true), "ctc_functions_weather_0");
    }
}
