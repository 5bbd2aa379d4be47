//! The content of a message, in the forms that clients and providers write it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::Str;

/// The text of a message: a string, or an array of parts joined by line feeds.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub text: Cow<'a, str>,
    /// Nothing but text was there.
    pub whole: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextReader)
    }
}

struct TextReader;

impl<'de> Visitor<'de> for TextReader {
    type Value = Text<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string or an array of parts")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text { text: Cow::Borrowed(text), whole: true })
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text { text: Cow::Owned(text.to_owned()), whole: true })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text<'de>, A::Error> {
        #[derive(Deserialize)]
        struct Part<'a> {
            #[serde(borrow)]
            text: Option<Str<'a>>,
        }
        let mut all: Option<Cow<'de, str>> = None;
        let mut whole = true;
        while let Some(part) = parts.next_element::<Part<'de>>()? {
            let Some(Str(text)) = part.text else {
                whole = false;
                continue;
            };
            all = Some(match all {
                None => text,
                Some(before) => Cow::Owned(format!("{before}\n{text}")),
            });
        }
        Ok(Text { text: all.unwrap_or_default(), whole })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::none())
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::none())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::none())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text<'de>, E> {
        Ok(Text::none())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text<'de>, E> {
        Ok(Text::none())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::none())
    }
}

impl Text<'_> {
    fn none() -> Self {
        Text { text: Cow::Borrowed(""), whole: false }
    }
}
