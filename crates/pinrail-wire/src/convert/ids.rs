//! Ids of tool calls in messages, which takes letters, digits, `_` and `-` only. Other ids are written in a way that can be read back.

use std::borrow::Cow;
use std::fmt::Write;

/// Before an id that was written otherwise. On its way through providers and clients: never change.
const WRITTEN: &str = "pinrail-id-";

/// An id as messages takes it.
pub(super) fn to_messages(id: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(fits) && !id.starts_with(WRITTEN) {
        return Cow::Borrowed(id);
    }
    let mut out = String::from(WRITTEN);
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "_{byte:02x}").expect("a text takes everything");
        }
    }
    Cow::Owned(out)
}

/// The id that one of messages stands for.
pub(super) fn of_messages(id: Cow<'_, str>) -> Cow<'_, str> {
    match id.strip_prefix(WRITTEN).and_then(read) {
        Some(read) => Cow::Owned(read),
        None => id,
    }
}

fn read(written: &str) -> Option<String> {
    let (mut bytes, mut at) = (Vec::with_capacity(written.len()), 0);
    while let Some(&byte) = written.as_bytes().get(at) {
        at += 1;
        if byte == b'_' {
            bytes.push(u8::from_str_radix(written.get(at..at + 2)?, 16).ok()?);
            at += 2;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_fit_stay() {
        for id in ["toolu_01A-b", "call_x"] {
            assert_eq!(to_messages(id), id);
        }
        assert_eq!(to_messages("functions.look:0"), "pinrail-id-functions_2elook_3a0");
        assert_eq!(of_messages(Cow::Borrowed("pinrail-id-_zz")), "pinrail-id-_zz");
    }

    proptest! {
        #[test]
        fn every_id_comes_back(id in "(pinrail-id-)?[a-z_\\-.:é]{0,6}") {
            let written = to_messages(&id).into_owned();
            prop_assert!(!written.is_empty());
            prop_assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            prop_assert_eq!(of_messages(Cow::Owned(written)), id);
        }
    }
}
