//! Times as people say them, and as they type them.
use windlass_core::time::UnixMs;

/// `3 min ago`; the day, once it is more than two weeks. What is no time is shown as it is.
#[must_use]
pub(crate) fn ago(text: &str, now: UnixMs) -> String {
    let Ok(stamp) = text.parse::<jiff::Timestamp>() else { return text.to_owned() };
    let at = UnixMs(u64::try_from(stamp.as_millisecond()).unwrap_or(0));
    let ms = now.since_ms(at);
    if at > now.plus_ms(1_000) {
        return format!("in {}", span(at.since_ms(now)));
    }
    match ms {
        0..1_000 => "now".to_owned(),
        _ if ms < 14 * 24 * 3_600_000 => format!("{} ago", span(ms)),
        _ => text.get(..10).unwrap_or(text).to_owned(),
    }
}

/// A span in its two largest words at most: `850 ms`, `4 s`, `2 min 5 s`, `3 h`, `6 days`.
#[must_use]
pub(crate) fn span(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ if seconds < 60 => format!("{seconds} s"),
        _ if minutes < 10 && seconds % 60 > 0 => format!("{minutes} min {} s", seconds % 60),
        _ if minutes < 60 => format!("{minutes} min"),
        _ if hours < 10 && minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        _ if hours < 48 => format!("{hours} h"),
        _ => format!("{} days", hours / 24),
    }
}

/// `90s`, `10m`, `2h`, `1d`, `500ms`, and sums of them such as `1h30m`.
///
/// # Errors
/// What is wrong with it, for the person who typed it.
pub(crate) fn parse_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no span of time: write 90s, 10m, 2h or 1h30m");
    let mut total_ms: u64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits).unwrap_or_default().parse().map_err(|_| wrong())?;
        let tail = rest.get(digits..).unwrap_or_default();
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit_ms = match tail.get(..letters).unwrap_or_default() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 24 * 3_600_000,
            _ => return Err(wrong()),
        };
        let part_ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part_ms).ok_or_else(wrong)?;
        rest = tail.get(letters..).unwrap_or_default();
    }
    if total_ms == 0 { Err(wrong()) } else { Ok(total_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_say_them() {
        let now = UnixMs(1_795_343_730_000);
        #[rustfmt::skip]
        let table = [
            (0,                     "now"),
            (4_000,                 "4 s ago"),
            (125_000,               "2 min 5 s ago"),
            (120_000,               "2 min ago"),
            (59 * 60_000,           "59 min ago"),
            (90 * 60_000,           "1 h 30 min ago"),
            (26 * 3_600_000,        "26 h ago"),
            (6 * 24 * 3_600_000,    "6 days ago"),
            (400 * 24 * 3_600_000,  "2025-10-18"),
        ];
        for (back_ms, expect) in table {
            assert_eq!(ago(&UnixMs(now.0 - back_ms).rfc3339(), now), expect);
        }
        assert_eq!(ago(&now.plus_ms(7_200_000).rfc3339(), now), "in 2 h");
        assert_eq!(ago("yesterday", now), "yesterday");
    }

    #[test]
    fn spans_as_people_type_them() {
        #[rustfmt::skip]
        let table = [
            ("90s",    Ok(90_000)),
            ("10m",    Ok(600_000)),
            ("1h30m",  Ok(5_400_000)),
            ("500ms",  Ok(500)),
            ("2d",     Ok(172_800_000)),
            ("",       Err(())),
            ("10",     Err(())),
            ("0s",     Err(())),
            ("-5m",    Err(())),
            ("5 m",    Err(())),
            ("99999999999999999999d", Err(())),
            ("9999999999999999d",     Err(())),
        ];
        for (text, expect) in table {
            assert_eq!(parse_ms(text).map_err(|_| ()), expect, "{text}");
        }
    }
}
