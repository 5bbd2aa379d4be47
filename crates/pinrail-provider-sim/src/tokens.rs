//! The simulator's tokens: one word with the white space before it, long words in pieces.
//!
//! One piece is one streamed delta, one token of usage and one step towards `max_tokens`, so the three always agree.

/// Longest piece in characters, so that text without spaces still has a believable count.
const PIECE_CHARS_MAX: usize = 12;

/// Splits text into tokens; joined again they are the text.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut letters = 0;
    let mut chars = 0;
    for (at, char) in text.char_indices() {
        let word_ended = char.is_whitespace() && letters > 0;
        if word_ended || chars == PIECE_CHARS_MAX {
            pieces.push(&text[start..at]);
            (start, letters, chars) = (at, 0, 0);
        }
        chars += 1;
        letters += usize::from(!char.is_whitespace());
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Counts the tokens of a text.
pub fn count(text: &str) -> usize {
    pieces(text).len()
}

/// Cuts a text after so many tokens; says whether anything was cut off.
pub fn cut(text: &str, tokens_max: usize) -> (&str, bool) {
    let kept: usize = pieces(text).iter().take(tokens_max).map(|piece| piece.len()).sum();
    (&text[..kept], kept < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_take_their_leading_space() {
        let check = |text: &str, want: &[&str]| assert_eq!(pieces(text), want, "{text:?}");
        check("", &[]);
        check("one two", &["one", " two"]);
        check("  a\n\nb ", &["  a", "\n\nb", " "]);
        check("abcdefghijklmnop", &["abcdefghijkl", "mnop"]);
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text_and_cuts_are_prefixes(text in any::<String>(), max in 0_usize..20) {
            prop_assert_eq!(pieces(&text).concat(), text.clone());
            let (kept, was_cut) = cut(&text, max);
            prop_assert!(text.starts_with(kept));
            prop_assert_eq!(was_cut, count(&text) > max);
            prop_assert!(count(kept) <= max);
        }
    }
}
