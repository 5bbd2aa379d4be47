//! Requests of one feature each, written from the vendors' references, in `tests/fixtures/convert`.
//!
//! A file has either `same`, a request in several dialects of which each becomes the others, or `from` and `to`, where each request
//! of `from` becomes those of `to`. `lossy` lists what may be lost, and `dropped` what was.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    about: String,
    #[serde(default)]
    same: BTreeMap<String, Value>,
    #[serde(default)]
    from: BTreeMap<String, Value>,
    #[serde(default)]
    to: BTreeMap<String, Value>,
    #[serde(default)]
    lossy: Vec<String>,
    #[serde(default)]
    dropped: Vec<String>,
}

fn dialect(word: &str) -> Dialect {
    ALL.into_iter().find(|dialect| dialect.word() == word).unwrap()
}

#[test]
fn each_feature_becomes_what_the_references_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/convert");
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 10);
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let fixture: Fixture =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lossy = Lossy::new(fixture.lossy.iter().map(String::as_str)).unwrap();
        let (sources, targets) = if fixture.same.is_empty() {
            (&fixture.from, &fixture.to)
        } else {
            (&fixture.same, &fixture.same)
        };
        let mut checked = 0;
        for (from, body) in sources {
            for (to, want) in targets.iter().filter(|(to, _)| *to != from) {
                let what = format!("{}: {}: {from} to {to}", path.display(), fixture.about);
                let converted = request(dialect(from), body.to_string().as_bytes(), dialect(to), &lossy)
                    .unwrap_or_else(|refused| panic!("{what}: {refused}"));
                let got: Value = serde_json::from_slice(&converted.body).unwrap();
                assert_eq!(got, *want, "{what}\ngot {got:#}\nwanted {want:#}");
                assert_eq!(converted.dropped, fixture.dropped, "{what}");
                checked += 1;
            }
        }
        assert!(checked > 0, "{} compares nothing", path.display());
    }
}
