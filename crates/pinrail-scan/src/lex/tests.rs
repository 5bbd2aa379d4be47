use proptest::prelude::*;

use super::*;

const LANGUAGES: [Language; 18] = [
    Language::Python,
    Language::JavaScript,
    Language::Go,
    Language::Java,
    Language::Kotlin,
    Language::CSharp,
    Language::Ruby,
    Language::Rust,
    Language::Php,
    Language::Braces,
    Language::Hashes,
    Language::Yaml,
    Language::Json,
    Language::Toml,
    Language::Lines,
    Language::Terraform,
    Language::Shell,
    Language::Dockerfile,
];

/// The strings of a text.
fn check(language: Language, text: &str, expected: &[&str]) {
    let tokens = lex(text.as_bytes(), language);
    let strings: Vec<String> = (0..tokens.all.len())
        .filter(|at| tokens.is_text(*at))
        .map(|at| tokens.str(at).into_owned())
        .collect();
    assert_eq!(strings, expected, "{language:?}: {text}");
}

#[test]
fn strings_are_told_from_comments() {
    check(Language::Python, "a = 'x' # 'y'\nb = \"\"\"z\n'q'\"\"\"", &["x", "z\n'q'"]);
    check(Language::Python, "a = 'open\nb = 'x'", &["open", "x"]);
    check(Language::JavaScript, "a = `x ${f(`y`)} z`; // 'c'\n/* 'd' */ b = 'e'", &["x ${f(`y`)} z", "e"]);
    check(Language::JavaScript, "if (/[\"'/]/.test(a) || b / 2) c = 'x'", &["x"]);
    check(Language::JavaScript, "<p>it's</p>\n<A model=\"x\" />", &["s</p>", "x"]);
    check(Language::Go, "a := `raw \\` + \"x\" // \"y\"", &["raw \\", "x"]);
    check(
        Language::Rust,
        "fn f<'a>(x: &'a str) { r#\"a\"b\"#; 'c'; \"d\\\"e\" } // \"f\"",
        &["a\"b", "c", "d\\\"e"],
    );
    check(Language::CSharp, "a = @\"c:\\\"; b = $\"x\"; // \"y\"", &["c:\\", "x"]);
    check(
        Language::Java,
        "String a = \"\"\"\n x \"y\" \"\"\"; char b = '\"'; c(\"z\");",
        &["\n x \"y\" ", "\"", "z"],
    );
    check(Language::Ruby, "a = 'x' # \"y\"\n=begin\n'z'\n=end\nb = \"q\"", &["x", "q"]);
    check(Language::Php, "<?php $a = 'x'; # 'y'\n// 'z'\n$b = \"q\";", &["x", "q"]);
    check(Language::Terraform, "a-b = \"x\" # \"y\"\n/* \"z\" */", &["x"]);
    check(Language::Lines, "# A=b\nexport A=\"x\" # c\nB = y # c\nC='z'", &["x", "y", "z"]);
    check(Language::Shell, "A=x run --model y 'z q' # 'c'\n", &["x", "run", "--model", "y", "z q"]);
    check(Language::Dockerfile, "ENV A=x B=\"y\"\nCMD [\"z\", \"q\"]", &["ENV", "x", "y", "CMD", "z", "q"]);
    check(
        Language::Yaml,
        "a: x # y\n\"b\": 'z'\nc:\n  - q\n  - {d: r, e: [s, t]}\n",
        &["x", "z", "q", "d", "r", "e", "s", "t"],
    );
    check(Language::Yaml, "a: |\n  x\n   y\nb: >-\n  z\nc: http://q", &["x", "y", "z", "http://q"]);
    check(Language::Toml, "[a.b]\nc = \"x\" # \"y\"\nd = ['z', '''q''']", &["x", "z", "q"]);
    check(Language::Json, "{\"a\": \"x\" /* y */}", &["a", "x"]);
}

#[test]
fn indentation_becomes_brackets() {
    let tokens = lex(b"jobs:\n  build:\n    env:\n      MODEL: x\n  - a\nlast: y\n", Language::Yaml);
    let at = (0..tokens.all.len()).find(|at| tokens.bytes(*at) == b"x").unwrap();
    let mut path = Vec::new();
    let mut open = tokens.opener(at);
    while let Some(here) = open {
        if here >= 2 && tokens.is_mark(here - 1, b':') {
            path.push(tokens.str(here - 2).into_owned());
        }
        open = tokens.opener(here);
    }
    assert_eq!(path, ["env", "build", "jobs"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Tokens and comments are in order, inside of the text and don't overlap; every byte that is in none of them is a blank,
    /// a quote or a sign that the format gives no meaning.
    #[test]
    fn any_bytes_become_tokens_in_order(
        text in proptest::collection::vec(prop_oneof![
            Just(b'"'), Just(b'\''), Just(b'`'), Just(b'\n'), Just(b' '), Just(b'#'), Just(b'/'), Just(b'*'), Just(b'\\'),
            Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b':'), Just(b'-'), Just(b'='), Just(b'$'), Just(b'|'), Just(b'r'),
            any::<u8>()
        ], 0..200)
    ) {
        for language in LANGUAGES {
            let tokens = lex(&text, language);
            let mut last = 0;
            for token in &tokens.all {
                prop_assert!(token.start >= last && token.end >= token.start, "{language:?}: {token:?} after {last}");
                last = token.end;
            }
            prop_assert!(last as usize <= text.len());
            let mut end = 0;
            for comment in &tokens.comments {
                prop_assert!(comment.start >= end && comment.end >= comment.start && comment.end <= text.len());
                end = comment.end;
            }
            for at in 0..tokens.all.len() {
                if let Some(other) = tokens.other_half(at) {
                    prop_assert_eq!(tokens.other_half(other), Some(at));
                }
                prop_assert!(tokens.opener(at).is_none_or(|open| open < at));
            }
        }
    }
}
