//! Ids, times, numbers and text, as every page writes them.
//!
//! What comes from outside (prompts, answers, names, reasons) is hostile: it reaches a page only escaped, and with characters
//! made visible that would hide or reorder what is read ([`plain`], [`block`]). A number never stands without its unit, a time
//! says what it is relative to now and shows the absolute one, and ids are short, whole on hover, and copied with one click.

use std::borrow::Borrow;
use std::fmt::{self, Display, Write as _};

use askama::{FastWritable, Template, Values};
use jiff::tz::TimeZone;
use pinrail_domain::share::Share;
use pinrail_domain::time::Timestamp;

pub mod diff;

/// Text that is HTML already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

/// How a badge looks. Colour is never all that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
    /// Under way.
    Live,
}

/// Longer texts are folded in [`block`].
const FOLDED_CHARS: usize = 1_200;
/// What a page shows of one text; the whole is in its `.json` twin.
pub const SHOWN_CHARS: usize = 20_000;
/// What is shown of a text that should be a line: names and reasons are shorter.
const LINE_CHARS: usize = 2_000;
/// Stretches of invisible characters that are named in one text; further ones are a sign each, as each name takes 70 bytes.
const UNSEEN_NAMED_MAX: usize = 500;

impl Html {
    /// Takes what is HTML by construction.
    #[must_use]
    pub fn from_trusted(html: String) -> Html {
        Html(html)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

impl FastWritable for Html {
    fn write_into(&self, to: &mut dyn fmt::Write, _: &dyn Values) -> askama::Result<()> {
        Ok(to.write_str(&self.0)?)
    }
}

/// Writes a template down.
///
/// # Panics
/// Never: writing to memory can't fail, and our templates call nothing that can.
#[must_use]
pub fn written<T: Template>(template: &T) -> Html {
    Html(template.render().expect("a template writes to memory"))
}

/// Text of unknown origin on one line: escaped, with invisible characters made visible, and cut where it is no line any more.
#[must_use]
pub fn plain(text: impl Display) -> Html {
    let text = text.to_string();
    let mut html = String::new();
    match text.char_indices().nth(LINE_CHARS) {
        None => push(&mut html, &text, false),
        Some((end, _)) => {
            push(&mut html, &text[..end], false);
            let _ = write!(html, "… <span class=\"dim\">{} more</span>", bytes((text.len() - end) as u64));
        }
    }
    Html(html)
}

/// Text of unknown origin with its lines. Long ones are folded, very long ones cut, saying so.
#[must_use]
pub fn block(text: &str) -> Html {
    let chars = text.chars().count();
    let mut html = String::with_capacity(text.len() + 64);
    let cut: String = text.chars().take(SHOWN_CHARS).collect();
    let folded = chars > FOLDED_CHARS;
    if folded {
        html.push_str("<details class=\"fold\"><summary>");
        let first: String = text.chars().take(160).collect();
        push(&mut html, first.lines().next().unwrap_or_default(), false);
        let _ = write!(html, "… <span class=\"dim\">{} characters</span></summary>", grouped(chars as u64));
    }
    html.push_str("<pre dir=\"auto\">");
    push(&mut html, &cut, true);
    html.push_str("</pre>");
    if chars > SHOWN_CHARS {
        let left = grouped((chars - SHOWN_CHARS) as u64);
        let _ = write!(html, "<p class=\"dim\">{left} more characters are in the page's JSON.</p>");
    }
    if folded {
        html.push_str("</details>");
    }
    Html(html)
}

/// Text of unknown origin with its lines, for a place that keeps them.
#[must_use]
pub fn lines(text: &str) -> Html {
    let mut html = String::with_capacity(text.len() + 16);
    push(&mut html, text, true);
    Html(html)
}

/// Text of unknown origin for an attribute, where no markup can be: invisible characters are named. The template escapes it.
#[must_use]
pub fn attribute(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            let _ = write!(named, "U+{:04X}", u32::from(character));
        } else {
            named.push(character);
        }
    }
    named
}

/// Text of unknown origin between the quotes of an attribute.
fn quoted(text: impl Display) -> String {
    escaped(&attribute(&text.to_string()))
}

/// Text as HTML, nothing changed but what HTML needs.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    text.chars().for_each(|character| escape(&mut html, character));
    html
}

fn escape(html: &mut String, character: char) {
    match character {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        '\'' => html.push_str("&#39;"),
        character => html.push(character),
    }
}

/// Escapes text into what a browser can only read as text; `lines` keeps line breaks and tabs. A stretch of one invisible
/// character is named once, with its length.
fn push(html: &mut String, text: &str, lines: bool) {
    let mut named = 0;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if !is_unseen(character) || (lines && matches!(character, '\n' | '\t')) {
            escape(html, character);
            continue;
        }
        let mut times: u64 = 1;
        while rest.next_if_eq(&character).is_some() {
            times += 1;
        }
        named += 1;
        if named > UNSEEN_NAMED_MAX {
            html.push('\u{fffd}');
            continue;
        }
        let times = if times > 1 { format!(" × {}", grouped(times)) } else { String::new() };
        let code = u32::from(character);
        let _ = write!(
            html,
            "<span class=\"unseen\" title=\"a character that isn't seen\">U+{code:04X}{times}</span>"
        );
    }
}

/// Whether a character is invisible, or changes how others are read: control characters, bidirectional marks, zero-width ones,
/// tags and what isn't a character.
pub(crate) fn is_unseen(character: char) -> bool {
    let special = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || special
}

/// An id that copies: short on the page, whole on hover and in the clipboard.
#[must_use]
pub fn id(short: impl Display, whole: impl Display) -> Html {
    let (short, whole) = (plain(short), quoted(whole));
    Html(format!(
        "<span class=\"id\"><code title=\"{whole}\">{short}</code><button type=\"button\" class=\"copy\" data-copy=\"{whole}\" aria-label=\"Copy {whole}\" hidden></button></span>"
    ))
}

/// An id that copies and leads to its page.
#[must_use]
pub fn link_id(href: &str, short: impl Display, whole: impl Display) -> Html {
    let (href, short, whole) = (escaped(href), plain(short), quoted(whole));
    Html(format!(
        "<span class=\"id\"><a href=\"{href}\"><code title=\"{whole}\">{short}</code></a><button type=\"button\" class=\"copy\" data-copy=\"{whole}\" aria-label=\"Copy {whole}\" hidden></button></span>"
    ))
}

/// How long ago something was (or when it will be), the absolute time on hover. Templates hand over references.
#[must_use]
pub fn ago(at: impl Borrow<Timestamp>, now: impl Borrow<Timestamp>) -> Html {
    let (at, now) = (*at.borrow(), *now.borrow());
    let (iso, absolute) = (iso(at), absolute(at));
    let words = if at.0 > now.0 {
        format!("in {}", span_ms(at.0 - now.0))
    } else if now.0 - at.0 < 1_000 {
        "just now".to_owned()
    } else {
        format!("{} ago", span_ms(now.0 - at.0))
    };
    Html(format!("<time datetime=\"{iso}\" title=\"{absolute}\" data-ago>{words}</time>"))
}

/// The absolute time, in UTC.
#[must_use]
pub fn absolute(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    time.map_or_else(
        |_| format!("{} ms", at.0),
        |time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

fn iso(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    time.map_or_else(|_| String::new(), |time| time.to_string())
}

/// A span of time by its largest unit, two where the larger is small: `3 d 4 h`, `12 min`, `45 s`.
#[must_use]
pub fn span_ms(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (10.., _, _) => format!("{days} d"),
        (1.., _, _) => format!("{days} d {} h", hours % 24),
        (0, 1.., _) => format!("{hours} h {} min", minutes % 60),
        (0, 0, 10..) => format!("{minutes} min"),
        (0, 0, 1..) => format!("{minutes} min {} s", seconds % 60),
        (0, 0, 0) if seconds > 0 => format!("{seconds} s"),
        (0, 0, 0) => format!("{ms} ms"),
    }
}

/// A time that a machine took, in the unit that reads best: `740 µs`, `12.4 ms`, `1.25 s`.
#[must_use]
pub fn took_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", us as f64 / 1e6),
        60_000_000.. => span_ms(us / 1_000),
    }
}

/// A share of traffic: `5 %`, `0.25 %`.
#[must_use]
pub fn share(share: Share) -> String {
    percent(f64::from(share.bps()) / 10_000.0)
}

/// A part of one, in percent.
#[must_use]
pub fn percent(part: f64) -> String {
    let percent = part * 100.0;
    let text = format!("{percent:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

/// Money, from billionths of a US dollar.
#[must_use]
pub fn usd(nano: u64) -> String {
    let dollars = nano as f64 / 1e9;
    match nano {
        0 => "$0".to_owned(),
        1..10_000_000 => format!("${dollars:.6}"),
        10_000_000..1_000_000_000 => format!("${dollars:.4}"),
        1_000_000_000.. => format!("${dollars:.2}"),
    }
}

/// A count and what is counted: `1 run`, `12 034 runs`. `many` is what several are called.
#[must_use]
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// A number with its digits in groups of three, narrow spaces between them.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes, by powers of 1024.
#[must_use]
pub fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{:.1} KiB", n as f64 / 1_024.0),
        1_048_576.. => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// A word in a frame.
#[must_use]
pub fn badge(tone: Tone, word: impl Display) -> Html {
    let class = match tone {
        Tone::Plain => "badge",
        Tone::Good => "badge good",
        Tone::Warn => "badge warn",
        Tone::Bad => "badge bad",
        Tone::Live => "badge live",
    };
    Html(format!("<span class=\"{class}\">{}</span>", plain(word)))
}

/// A state in a frame, with the tone that it has everywhere.
#[must_use]
pub fn state(word: &str) -> Html {
    let tone = match word {
        "active" | "ok" | "pass" | "committed" | "finished" | "met" | "promoted" | "approved" => Tone::Good,
        "candidate" | "running" | "open" | "queued" | "pending" => Tone::Live,
        "rolled back" | "error" | "fail" | "failed" | "denied" | "off" | "gone" => Tone::Bad,
        "paused" | "parked" | "inconclusive" | "cancelled" | "expired" | "held" | "frozen" => Tone::Warn,
        _ => Tone::Plain,
    };
    badge(tone, word)
}

/// What stands where there is nothing yet: why, and the command that changes that.
#[must_use]
pub fn empty(why: &str, command: &str) -> Html {
    let copy = quoted(command);
    let line = if command.is_empty() {
        String::new()
    } else {
        format!(
            "<p class=\"command\"><code>{copy}</code><button type=\"button\" class=\"copy\" data-copy=\"{copy}\" aria-label=\"Copy the command\" hidden></button></p>"
        )
    };
    Html(format!("<div class=\"empty\"><p>{}</p>{line}</div>", plain(why)))
}

/// A line of numbers as a picture, oldest first, with the words that say the same. Nothing is drawn below two numbers.
#[must_use]
pub fn spark(values: &[f64], words: &str) -> Html {
    const WIDTH: f64 = 100.0;
    const HEIGHT: f64 = 20.0;
    let words = quoted(words);
    if values.len() < 2 {
        return Html(format!("<span class=\"spark dim\" title=\"{words}\">–</span>"));
    }
    let top = values.iter().copied().fold(f64::EPSILON, f64::max);
    let step = WIDTH / (values.len() - 1) as f64;
    let mut points = String::new();
    for (place, value) in values.iter().enumerate() {
        let (x, y) = (place as f64 * step, HEIGHT - 1.0 - (value / top) * (HEIGHT - 2.0));
        let _ = write!(points, "{}{x:.0},{y:.1}", if place > 0 { " " } else { "" });
    }
    Html(format!(
        "<svg class=\"spark\" viewBox=\"0 0 100 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\"><title>{words}</title><polyline points=\"{points}\"/></svg>"
    ))
}

/// A link to the next page of a list.
#[must_use]
pub fn next_page(href: Option<&str>) -> Html {
    match href {
        Some(href) => Html(format!(
            "<nav class=\"pager\" aria-label=\"More of this list\"><a href=\"{}\" rel=\"next\">Next page</a></nav>",
            escaped(href)
        )),
        None => Html::default(),
    }
}

/// Text for a part of an address' query or path.
#[must_use]
pub fn url(text: impl Display) -> String {
    let mut out = String::new();
    for byte in text.to_string().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The two fields that every form sends along.
#[must_use]
pub fn form_fields(shell: &crate::Shell) -> Html {
    Html(format!(
        "<input type=\"hidden\" name=\"csrf\" value=\"{}\"><input type=\"hidden\" name=\"once\" value=\"{}\">",
        plain(&shell.csrf),
        plain(&shell.once)
    ))
}

#[cfg(test)]
mod tests;
