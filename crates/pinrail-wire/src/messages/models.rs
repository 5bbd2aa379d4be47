//! The list of models in Anthropic's form: ours, for clients of that form.

use serde::Serialize;

use crate::json;

#[derive(Serialize)]
struct List<'m> {
    data: Vec<Entry<'m>>,
    has_more: bool,
    first_id: Option<&'m str>,
    last_id: Option<&'m str>,
}

#[derive(Serialize)]
struct Entry<'m> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'m str,
    display_name: &'m str,
    created_at: String,
    /// An agent that is listed can be asked.
    lifecycle: &'static str,
}

/// Writes the answer to `GET /v1/models` from `(id, created, display_name)`, created in seconds since the epoch.
#[must_use]
pub fn models_list(models: &[(&str, u64, &str)]) -> Vec<u8> {
    json::to_vec(&List {
        data: models.iter().copied().map(entry).collect(),
        has_more: false,
        first_id: models.first().map(|(id, _, _)| *id),
        last_id: models.last().map(|(id, _, _)| *id),
    })
}

/// Writes the answer to `GET /v1/models/{id}`.
#[must_use]
pub fn model(model: (&str, u64, &str)) -> Vec<u8> {
    json::to_vec(&entry(model))
}

fn entry<'m>((id, created, display_name): (&'m str, u64, &'m str)) -> Entry<'m> {
    Entry { kind: "model", id, display_name, created_at: rfc_3339(created), lifecycle: "active" }
}

const SECONDS_A_DAY: u64 = 86_400;

/// The last second of the year 9999, behind which the form has no date.
const LAST_S: u64 = 253_402_300_799;

/// Writes a time in UTC, by the proleptic Gregorian calendar.
fn rfc_3339(unix_s: u64) -> String {
    let unix_s = unix_s.min(LAST_S);
    let (mut days, second) = (unix_s / SECONDS_A_DAY, unix_s % SECONDS_A_DAY);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{When, next_page, parse_models};

    #[test]
    fn our_list_can_be_read() {
        let body = models_list(&[("support", 1_709_210_096, "Support"), ("planner", 0, "planner")]);
        let read = parse_models(&body).unwrap();
        assert_eq!(read.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["support", "planner"]);
        assert_eq!(read[0].created, Some(When::Text("2024-02-29T12:34:56Z".to_owned())));
        assert_eq!(next_page(&body), None);
        let text = String::from_utf8(body).unwrap();
        assert!(text.ends_with(r#""has_more":false,"first_id":"support","last_id":"planner"}"#), "{text}");
        let none = String::from_utf8(models_list(&[])).unwrap();
        assert_eq!(none, r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
        assert_eq!(
            String::from_utf8(model(("a", 5, "A"))).unwrap(),
            r#"{"type":"model","id":"a","display_name":"A","created_at":"1970-01-01T00:00:05Z","lifecycle":"active"}"#
        );
    }

    #[test]
    fn times_are_dates() {
        let check = |unix_s: u64, want: &str| assert_eq!(rfc_3339(unix_s), want, "{unix_s}");
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(1_795_219_200, "2026-11-21T00:00:00Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
        check(u64::MAX, "9999-12-31T23:59:59Z");
    }
}
