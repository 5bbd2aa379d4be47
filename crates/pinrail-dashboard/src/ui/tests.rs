use proptest::prelude::*;

use super::*;

#[test]
fn hostile_text_stays_text() {
    let check = |text: &str, expected: &str| assert_eq!(plain(text).as_str(), expected, "{text:?}");
    check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
    check("\" onmouseover='x'", "&quot; onmouseover=&#39;x&#39;");
    check("a&amp;b", "a&amp;amp;b");
    let unseen =
        |code: &str| format!("<span class=\"unseen\" title=\"a character that isn't seen\">{code}</span>");
    check("a\u{202e}b", &format!("a{}b", unseen("U+202E")));
    check("\0\u{1b}[31m", &format!("{}{}[31m", unseen("U+0000"), unseen("U+001B")));
    check("line\nbreak", &format!("line{}break", unseen("U+000A")));
    check("\u{200b}\u{feff}", &format!("{}{}", unseen("U+200B"), unseen("U+FEFF")));
    check("שלום ünï 漢字", "שלום ünï 漢字");
    // However many there are, a page stays small.
    check(&"\u{200b}".repeat(1_500), &unseen("U+200B × 1\u{202f}500"));
    assert!(plain("\u{200b}\u{200c}\u{200e}".repeat(20_000)).as_str().len() < 100_000);
    assert!(plain("x".repeat(9_000)).as_str().ends_with("<span class=\"dim\">6.8 KiB more</span>"));
}

#[test]
fn an_attribute_holds_no_markup() {
    let hostile = "a\u{202e}b\"><script>";
    let html = id("short", hostile).into_string();
    assert!(html.contains("data-copy=\"aU+202Eb&quot;&gt;&lt;script&gt;\""), "{html}");
    let html = empty("why", hostile).into_string();
    assert!(html.contains("data-copy=\"aU+202Eb&quot;&gt;&lt;script&gt;\""), "{html}");
}

#[test]
fn long_text_is_folded_and_very_long_text_is_cut() {
    assert_eq!(block("a\n\tb").as_str(), "<pre dir=\"auto\">a\n\tb</pre>");
    let folded = block(&"x".repeat(2_000));
    assert!(folded.as_str().starts_with("<details class=\"fold\"><summary>"), "{folded}");
    let cut = block(&"<".repeat(50_000));
    assert!(cut.as_str().contains("30\u{202f}000 more characters"));
    assert!(!cut.as_str().contains("<<"));
}

proptest! {
    #[test]
    fn no_text_ever_opens_a_tag_or_ends_an_attribute(text in any::<String>()) {
        let html = plain(&text).into_string();
        let without = html
            .split("<span class=\"unseen\" title=\"a character that isn't seen\">")
            .collect::<Vec<_>>().concat().replace("</span>", "");
        prop_assert!(!without.contains(['<', '>', '"', '\'']), "{}", html);
        prop_assert!(!html.chars().any(is_unseen));
    }
}

#[test]
fn times_are_relative_with_the_absolute_one_on_hover() {
    let now = Timestamp(1_800_000_000_000);
    let check = |ms: u64, expected: &str| {
        let html = ago(Timestamp(now.0 - ms), now).into_string();
        assert!(html.contains(&format!("data-ago>{expected}</time>")), "{html}");
    };
    check(0, "just now");
    check(5_000, "5 s ago");
    check(125_000, "2 min 5 s ago");
    check(3 * 3_600_000 + 60_000, "3 h 1 min ago");
    check(26 * 3_600_000, "1 d 2 h ago");
    check(40 * 86_400_000, "40 d ago");
    let html = ago(Timestamp(now.0 + 60_000), now).into_string();
    assert!(html.contains("in 1 min 0 s") && html.contains("title=\"2027-01-15 08:01:00 UTC\""), "{html}");
}

#[test]
fn numbers_say_their_unit() {
    assert_eq!(
        (took_us(740), took_us(12_400), took_us(1_250_000)),
        ("740 µs".into(), "12.4 ms".into(), "1.25 s".into())
    );
    assert_eq!(
        (percent(0.05), percent(0.0025), percent(1.0)),
        ("5 %".into(), "0.25 %".into(), "100 %".into())
    );
    assert_eq!((usd(0), usd(1_500), usd(2_500_000_000)), ("$0".into(), "$0.000002".into(), "$2.50".into()));
    assert_eq!(
        (count(1, "run", "runs"), count(12_034, "run", "runs")),
        ("1 run".into(), "12\u{202f}034 runs".into())
    );
    assert_eq!((bytes(10), bytes(2_048)), ("10 B".into(), "2.0 KiB".into()));
}

#[test]
fn addresses_are_encoded() {
    assert_eq!(url("a b/c?d=é\"<"), "a%20b%2Fc%3Fd%3D%C3%A9%22%3C");
}
