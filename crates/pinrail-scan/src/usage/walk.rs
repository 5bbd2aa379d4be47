//! Who owns an expression: the key it is the value of, the call it is an argument of, what it is compared with.

use super::names;
use crate::lex::{Kind, Tokens};

/// How far back is looked for an owner, in tokens: further away stands something else.
const BACK_MAX: usize = 48;

/// How many tokens of a bracket are looked at: no call has more arguments worth reading.
const INSIDE_MAX: usize = 400;

/// What stands in front of an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The name that it is the value of.
    pub key: Option<usize>,
    /// Whether it is only compared.
    pub compared: bool,
    /// Whether it is one of the names that a type allows.
    pub of_type: bool,
    /// Whether it is what else: `a or "x"`.
    pub alternative: bool,
    /// Whether what it stands in for is a model: `env.MODEL || "x"`.
    pub for_model: bool,
    pub returned: bool,
}

/// Looks back from the expression that begins with the token `from`.
#[must_use]
pub fn before(tokens: &Tokens<'_>, from: usize) -> Before {
    let mut seen = Before::default();
    let mut at = from;
    for _ in 0..BACK_MAX {
        let Some(here) = at.checked_sub(1) else { break };
        if ends_statement(tokens, here) {
            break;
        }
        at = here;
        match tokens.all[here].kind {
            Kind::Mark(b'(' | b'[' | b'{' | b',' | b';') => break,
            Kind::Mark(b')' | b']' | b'}') => {
                let Some(open) = tokens.other_half(here) else { break };
                seen.for_model |= seen.alternative && (open..here).any(|inside| names_model(tokens, inside));
                at = open;
            }
            Kind::Mark(b'=') => {
                assigned(tokens, here, &mut seen);
                break;
            }
            Kind::Mark(b'>') => {
                if here > 0 && touches(tokens, here - 1, b'=') {
                    seen.key = key_before(tokens, here - 1);
                }
                if here > 0 && (touches(tokens, here - 1, b'=') || touches(tokens, here - 1, b'-')) {
                    break;
                }
            }
            Kind::Mark(b':') => {
                if colon(tokens, here, &mut seen) {
                    break;
                }
            }
            Kind::Mark(b'|') => {
                if here > 0 && touches(tokens, here - 1, b'|') {
                    seen.alternative = true;
                    at = here - 1;
                } else {
                    seen.of_type = true;
                }
            }
            Kind::Mark(b'?') => seen.alternative = true,
            Kind::Mark(_) => {}
            Kind::Text => seen.for_model |= seen.alternative && names_model(tokens, here),
            Kind::Name => {
                if word(tokens, here, from, &mut seen) {
                    break;
                }
            }
        }
    }
    seen
}

/// The name of what is called or built by the bracket `open`: `ChatOpenAI` of `ChatOpenAI(`.
#[must_use]
pub fn callee(tokens: &Tokens<'_>, open: usize) -> Option<usize> {
    let mut at = open.checked_sub(1)?;
    if tokens.is_mark(at, b'!') {
        at = at.checked_sub(1)?;
    }
    if tokens.is_mark(at, b'>') {
        let generic = (at.saturating_sub(16)..at).rev().find(|index| tokens.is_mark(*index, b'<'))?;
        at = generic.checked_sub(1)?;
    }
    let is_keyword = || {
        matches!(
            tokens.bytes(at),
            b"if"
                | b"for"
                | b"while"
                | b"switch"
                | b"return"
                | b"in"
                | b"and"
                | b"or"
                | b"not"
                | b"else"
                | b"match"
                | b"await"
        )
    };
    (tokens.is_name(at) && !is_keyword() && !tokens.breaks(tokens.all[at].end, tokens.all[open].start))
        .then_some(at)
}

/// The first token of the expression that ends with the name `at`: `os` of `os.environ.get`.
#[must_use]
pub fn chain_start(tokens: &Tokens<'_>, at: usize) -> usize {
    let mut start = at;
    for _ in 0..BACK_MAX {
        let Some(dot) = start.checked_sub(1).filter(|dot| tokens.is_mark(*dot, b'.')) else { break };
        let Some(mut owner) = dot.checked_sub(1) else { break };
        if tokens.is_mark(owner, b'?') || tokens.is_mark(owner, b'!') {
            owner = owner.saturating_sub(1);
        }
        start = match tokens.other_half(owner) {
            Some(open) if open < owner => callee(tokens, open).unwrap_or(open),
            Some(_) | None => owner,
        };
    }
    match start.checked_sub(1) {
        Some(at) if tokens.is_name(at) && matches!(tokens.bytes(at), b"new" | b"await" | b"go" | b"try") => {
            at
        }
        Some(_) | None => start,
    }
}

/// The keys that stand directly in a bracket, with the token behind each.
pub fn keys<'t>(tokens: &'t Tokens<'_>, open: usize) -> impl Iterator<Item = (usize, usize)> + 't {
    inside(tokens, open).filter_map(move |at| {
        let is_key = matches!(tokens.kind(at), Some(Kind::Name | Kind::Text));
        let sign = at + 1;
        let assigns =
            tokens.is_mark(sign, b':') || (tokens.is_mark(sign, b'=') && !tokens.is_mark(sign + 1, b'='));
        let value =
            if tokens.is_mark(sign, b'=') && tokens.is_mark(sign + 1, b'>') { sign + 2 } else { sign + 1 };
        (is_key && assigns).then_some((at, value))
    })
}

/// The tokens that stand directly in a bracket.
pub fn inside<'t>(tokens: &'t Tokens<'_>, open: usize) -> impl Iterator<Item = usize> + 't {
    let end = tokens.other_half(open).unwrap_or(tokens.all.len()).min(open + INSIDE_MAX);
    (open + 1..end).filter(move |at| tokens.opener(*at) == Some(open))
}

/// Whether a name or a string says `model`.
#[must_use]
pub fn names_model(tokens: &Tokens<'_>, at: usize) -> bool {
    matches!(tokens.kind(at), Some(Kind::Name | Kind::Text))
        && tokens.bytes(at).len() <= 64
        && names::is_model(&names::plain(&tokens.str(at)))
}

/// `here` is the last token of a statement that a line end closes.
fn ends_statement(tokens: &Tokens<'_>, here: usize) -> bool {
    let Some(next) = tokens.all.get(here + 1) else { return false };
    if !tokens.breaks(tokens.all[here].end, next.start) {
        return false;
    }
    if tokens.opener(here + 1).is_some_and(|open| !tokens.is_mark(open, b'{')) {
        return false;
    }
    let goes_on = |kind: Kind, marks: &[u8]| matches!(kind, Kind::Mark(mark) if marks.contains(&mark));
    !goes_on(tokens.all[here].kind, b".|?=:+&(,[{") && !goes_on(next.kind, b".|?=:+&,")
}

fn touches(tokens: &Tokens<'_>, at: usize, mark: u8) -> bool {
    tokens.is_mark(at, mark) && tokens.all.get(at + 1).is_some_and(|next| next.start == tokens.all[at].end)
}

fn assigned(tokens: &Tokens<'_>, sign: usize, seen: &mut Before) {
    let Some(last) = sign.checked_sub(1) else { return };
    if [b'=', b'!', b'<', b'>'].iter().any(|mark| touches(tokens, last, *mark)) {
        seen.compared = !seen.alternative;
        return;
    }
    seen.key = key_before(tokens, sign);
}

/// The name that stands before `=`, past `:`, `||`, `??` and an annotation of its type.
fn key_before(tokens: &Tokens<'_>, sign: usize) -> Option<usize> {
    let mut at = sign;
    let mut nearest = None;
    for _ in 0..BACK_MAX {
        let Some(here) = at.checked_sub(1) else { break };
        if at != sign && ends_statement(tokens, here) {
            break;
        }
        at = here;
        match tokens.all[here].kind {
            Kind::Mark(b'(' | b'[' | b'{' | b',' | b';' | b'=') => break,
            Kind::Mark(b')' | b']' | b'}') => {
                let Some(open) = tokens.other_half(here) else { break };
                if nearest.is_none() && here == open + 2 && tokens.is_text(open + 1) {
                    nearest = Some(open + 1);
                }
                at = open;
            }
            // `model: str = …`, `model?: string = …`.
            Kind::Mark(b':') if here + 1 != sign => {
                let mut owner = here.checked_sub(1)?;
                // Ruby's `:model => …` is a name with a sign in front, and what ends a line opens a block.
                let opens_block = tokens.breaks(tokens.all[here].end, tokens.all[here + 1].start);
                if tokens.all[owner].end < tokens.all[here].start || opens_block {
                    return nearest;
                }
                if tokens.is_mark(owner, b'?') {
                    owner = owner.checked_sub(1)?;
                }
                return if tokens.is_name(owner) { Some(owner) } else { nearest };
            }
            Kind::Mark(_) => {}
            Kind::Name | Kind::Text => {
                nearest = nearest.or(Some(here));
            }
        }
    }
    nearest
}

/// Looks at a `:`; says whether the owner is found, or there is none.
fn colon(tokens: &Tokens<'_>, here: usize, seen: &mut Before) -> bool {
    let Some(owner) = here.checked_sub(1) else { return true };
    if tokens.is_mark(owner, b':') || tokens.is_mark(here + 1, b':') {
        return false;
    }
    if tokens.is_mark(owner, b'?') {
        // `model?: "x"` names a type's value, `a ?: "x"` an alternative.
        let named = owner.checked_sub(1).filter(|name| tokens.is_name(*name));
        seen.alternative = true;
        seen.for_model |= named.is_some_and(|name| names_model(tokens, name));
        return false;
    }
    let begins = match owner.checked_sub(1) {
        None => true,
        Some(first) => {
            matches!(tokens.all[first].kind, Kind::Mark(b',' | b'{' | b'(' | b'[' | b';'))
                || tokens.breaks(tokens.all[first].end, tokens.all[owner].start)
        }
    };
    let is_conditional = !begins
        && (owner.saturating_sub(16)..owner)
            .rev()
            .any(|at| tokens.is_mark(at, b'?') && tokens.opener(at) == tokens.opener(here));
    if is_conditional {
        seen.alternative = true;
        return false;
    }
    if matches!(tokens.kind(owner), Some(Kind::Name | Kind::Text)) {
        seen.key = Some(owner);
    }
    true
}

/// Looks at a word; says whether nothing in front of it matters.
fn word(tokens: &Tokens<'_>, here: usize, from: usize, seen: &mut Before) -> bool {
    match tokens.bytes(here) {
        b"or" | b"else" | b"unwrap_or" => seen.alternative = true,
        b"in" | b"case" | b"when" | b"is" | b"match" if here + 1 == from => {
            seen.compared = true;
            return true;
        }
        b"return" | b"yield" => {
            seen.returned = true;
            return true;
        }
        _ => seen.for_model |= seen.alternative && names_model(tokens, here),
    }
    false
}
