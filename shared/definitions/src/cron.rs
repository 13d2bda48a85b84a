//! Cron lines of five fields: minute, hour, day of month, month, day of week.
//!
//! Only the shape is judged here; when a line falls due is for whoever runs the schedule.

struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names for `min`, `min + 1`, …
    names: &'static [&'static str],
}

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: MONTHS },
    // 7 is Sunday as well.
    Field { name: "day of week", min: 0, max: 7, names: DAYS },
];

/// Ok, or what was expected instead.
pub(crate) fn check(line: &str) -> Result<(), String> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!(
            "a cron line of five fields (minute, hour, day of month, month, day of week), not {}",
            parts.len()
        ));
    }
    for (field, part) in FIELDS.iter().zip(&parts) {
        for item in part.split(',') {
            if !is_item(field, item) {
                return Err(format!(
                    "a cron line whose {} is within {}-{} (`*`, `1,2`, `1-5`, `*/5`)",
                    field.name, field.min, field.max
                ));
            }
        }
    }
    Ok(())
}

/// `*`, `3`, `1-5`, `mon-fri`, and any of them with a step: `*/5`.
fn is_item(field: &Field, item: &str) -> bool {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if let Some(step) = step
        && !number(step).is_some_and(|step| (1..=field.max).contains(&step))
    {
        return false;
    }
    if range == "*" {
        return true;
    }
    match range.split_once('-') {
        Some((from, to)) => match (value(field, from), value(field, to)) {
            (Some(from), Some(to)) => from <= to,
            _ => false,
        },
        None => value(field, range).is_some(),
    }
}

fn value(field: &Field, text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let named = field.names.iter().position(|name| *name == lower);
    let value = match named.and_then(|index| u32::try_from(index).ok()) {
        Some(index) => field.min + index,
        None => number(text)?,
    };
    (field.min..=field.max).contains(&value).then_some(value)
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        #[rustfmt::skip]
        let table = [
            ("0 7 * * 1-5",           true),
            ("*/15 * * * *",          true),
            ("0 0 1,15 jan-mar SUN",  true),
            ("0 0 * * 7",             true),
            ("10-50/10 * * * *",      true),
            ("0 7 * *",               false),
            ("0 7 * * * *",           false),
            ("60 7 * * *",            false),
            ("0 24 * * *",            false),
            ("0 0 0 * *",             false),
            ("0 0 * 13 *",            false),
            ("0 0 * * 8",             false),
            ("5-1 * * * *",           false),
            ("*/0 * * * *",           false),
            ("a * * * *",             false),
            ("1,, * * * *",           false),
            ("-1 * * * *",            false),
            ("@daily",                false),
            ("",                      false),
        ];
        for (line, expect) in table {
            assert_eq!(check(line).is_ok(), expect, "{line:?}");
        }
    }
}
