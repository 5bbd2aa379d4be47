//! Points in time as people write and read them, always in UTC.

use jiff::civil;
use jiff::tz::TimeZone;
use pinrail_domain::time::Timestamp;

/// How long ago, and when: `3m ago (2026-11-20 21:57:17Z)`.
pub fn both(now: Timestamp, at: Timestamp) -> String {
    format!("{} ({})", relative(now, at), absolute(at))
}

/// When: `2026-11-20 21:57:17Z`.
pub fn absolute(at: Timestamp) -> String {
    match i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => format!("{} ms", at.0),
    }
}

/// When within a second: `21:57:17.123`.
pub fn clock(at: Timestamp) -> String {
    match i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(at) => at.strftime("%H:%M:%S%.3f").to_string(),
        None => format!("{} ms", at.0),
    }
}

/// How long ago: `3m ago`, `in 2d`.
pub fn relative(now: Timestamp, at: Timestamp) -> String {
    if at.0 > now.0.saturating_add(999) {
        format!("in {}", span(at.ms_since(now)))
    } else {
        format!("{} ago", span(now.ms_since(at)))
    }
}

/// A length of time in its two largest units' first: `820ms`, `3m`, `2d`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = UNITS.iter().find(|(size, _)| ms >= *size);
    unit.map_or_else(|| format!("{ms}ms"), |(size, unit)| format!("{}{unit}", ms / size))
}

/// Microseconds as milliseconds: `1.24 ms`.
pub fn millis(us: u64) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}

/// Reads `2h` (that long before `now`), `2026-11-20`, or RFC 3339.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(ms) = span_ms(text) {
        return Ok(Timestamp(now.0.saturating_sub(ms)));
    }
    let day = || text.parse::<civil::Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
    let ms = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    ms.map(Timestamp).ok_or_else(|| {
        format!("`{text}` is not a time; write 90s, 15m, 2h or 7d ago, 2026-11-20, or 2026-11-20T21:57:17Z")
    })
}

/// Reads an HTTP date.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

/// Reads a length of time: `90s`, `15m`, `2h`, `7d`, `4w`.
pub fn span_ms(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(split);
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let now = Timestamp(1_800_000_000_000);
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse(text, now).ok(), expected.map(Timestamp), "{text}");
        };
        check("2h", Some(now.0 - 7_200_000));
        check("90s", Some(now.0 - 90_000));
        check("1w", Some(now.0 - 604_800_000));
        check("2026-11-20", Some(1_795_132_800_000));
        check("2026-11-20T01:00:00+01:00", Some(1_795_132_800_000));
        check("yesterday", None);
        check("2", None);
        check("h", None);
        check("99999999999999999999d", None);
        check("1960-01-01", None);
        assert_eq!(parse_http_date("Fri, 20 Nov 2026 00:00:00 GMT"), Some(Timestamp(1_795_132_800_000)));
    }

    #[test]
    fn times_show_as_people_read_them() {
        let now = Timestamp(1_795_132_800_000);
        assert_eq!(both(now.plus_ms(185_000), now), "3m ago (2026-11-20 00:00:00Z)");
        assert_eq!(relative(now, now.plus_ms(172_800_000)), "in 2d");
        assert_eq!(relative(now, now), "0ms ago");
        assert_eq!(clock(now.plus_ms(5)), "00:00:00.005");
        assert_eq!(millis(1_239), "1.23 ms");
        assert_eq!(absolute(Timestamp(u64::MAX)), format!("{} ms", u64::MAX));
    }
}
