//! Models in Anthropic's form.

use serde_json::{Value, json};

use crate::world::{DAY_SECONDS, Listed};

/// Writes the list of all models as one page.
pub fn models(listed: &[Listed]) -> Value {
    json!({
        "data": listed.iter().map(model).collect::<Vec<Value>>(), "has_more": false,
        "first_id": listed.first().map(|model| &model.id), "last_id": listed.last().map(|model| &model.id),
    })
}

/// Writes one model.
pub fn model(listed: &Listed) -> Value {
    json!({
        "type": "model", "id": listed.id, "display_name": listed.id, "created_at": rfc3339(listed.created),
        "lifecycle": "active", "deprecated_at": null, "retires_at": null,
    })
}

/// Writes a time as `2026-01-15T00:00:00Z`: days to a date as in Hinnant, "chrono-compatible low-level date algorithms".
fn rfc3339(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / DAY_SECONDS + 719_468, unix_seconds % DAY_SECONDS);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let check = |seconds: u64, want: &str| assert_eq!(rfc3339(seconds), want);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_768_435_200, "2026-01-15T00:00:00Z");
        check(1_798_761_599, "2026-12-31T23:59:59Z");
    }
}
