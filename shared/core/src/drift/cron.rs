//! Cron lines of five fields: minute, hour, day of month, month, day of week.
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

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

const EVERY_HOUR: u64 = (1 << 24) - 1;
/// 29 February comes again after eight years at the latest; nothing else takes longer.
const DAYS_MAX: u32 = 8 * 366 + 2;

/// No clock is put forward or set back by more than this.
const SHIFT_HOURS_MAX: i8 = 3;

/// One line, as sets of numbers: bit n stands for n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The field begins with `*`: then only the other one chooses the day. If neither does, a day
    /// is chosen that either of them names (as cron always did).
    any_day: bool,
    any_weekday: bool,
}

impl Cron {
    /// The line, or what was expected instead.
    ///
    /// # Errors
    /// A sentence for a person.
    pub fn parse(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = parts.as_slice() else {
            return Err(format!(
                "a cron line of five fields (minute, hour, day of month, month, day of week), not \
                 {}",
                parts.len()
            ));
        };
        let [minute, hour, day, month, weekday] = &FIELDS;
        let mut weekday_set = set(weekday, weekdays)?;
        weekday_set |= (weekday_set >> 7) & 1;
        let cron = Self {
            minutes: set(minute, minutes)?,
            hours: set(hour, hours)?,
            days: set(day, days)?,
            months: set(month, months)?,
            weekdays: weekday_set,
            any_day: days.starts_with('*'),
            any_weekday: weekdays.starts_with('*'),
        };
        if !cron.occurs() {
            return Err("a cron line that names a day which some month has".to_owned());
        }
        Ok(cron)
    }

    /// False for 30 February.
    fn occurs(&self) -> bool {
        let longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let months = (1_u32..).zip(longest).filter(|(month, _)| has(self.months, *month));
        !self.any_weekday
            || months.into_iter().any(|(_, days)| (1..=days).any(|day| has(self.days, day)))
    }

    /// The first moment after this one.
    pub(super) fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let shown = zone.to_datetime(after);
        let earliest = shown.saturating_sub(Span::new().hours(SHIFT_HOURS_MAX));
        // A clock that is set back may come from the next day.
        let mut date = shown.date().yesterday().ok()?;
        for _ in 0..DAYS_MAX {
            if self.on(date)
                && let Some(found) = self.first_on(date, zone, earliest, after)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn first_on(
        &self,
        date: Date,
        zone: &TimeZone,
        earliest: DateTime,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let mut found: Option<(i8, Timestamp)> = None;
        for hour in bits(self.hours).filter(|hour| date.at(*hour, 59, 0, 0) >= earliest) {
            // Where clocks are set back, a later time on their face may be an earlier moment.
            if found.is_some_and(|(first, _)| hour > first.saturating_add(SHIFT_HOURS_MAX)) {
                break;
            }
            for at in self.moments(date, hour, zone).filter(|at| *at > after) {
                let (first, known) = found.unwrap_or((hour, at));
                found = Some((first, known.min(at)));
            }
        }
        found.map(|(_, at)| at)
    }

    fn on(&self, date: Date) -> bool {
        let day = has(self.days, u32::from(date.day().unsigned_abs()));
        let weekday = u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs());
        let weekday = has(self.weekdays, weekday);
        has(self.months, u32::from(date.month().unsigned_abs()))
            && if self.any_day || self.any_weekday { day && weekday } else { day || weekday }
    }

    /// What the line means in this hour of this day, in no order. A line that names hours comes once a day
    /// whatever the clocks do: a time that they skip comes when they have been put forward, one
    /// that they show twice comes the first time. A line of every hour follows the hours that
    /// really pass.
    fn moments<'a>(
        &'a self,
        date: Date,
        hour: i8,
        zone: &'a TimeZone,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        let every_hour = self.hours == EVERY_HOUR;
        bits(self.minutes).flat_map(move |minute| {
            let at = date.at(hour, minute, 0, 0);
            let shown = match zone.to_ambiguous_timestamp(at).offset() {
                AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(at).ok(), None],
                AmbiguousOffset::Gap { .. } if every_hour => [None, None],
                AmbiguousOffset::Gap { after, .. } => {
                    let before = after.to_timestamp(at).ok();
                    [before.and_then(|t| Some(zone.following(t).next()?.timestamp())), None]
                }
                AmbiguousOffset::Fold { before, after } => {
                    let again = every_hour.then(|| after.to_timestamp(at).ok()).flatten();
                    [before.to_timestamp(at).ok(), again]
                }
            };
            shown.into_iter().flatten()
        })
    }
}

fn has(set: u64, number: u32) -> bool {
    set >> number & 1 == 1
}

fn bits(set: u64) -> impl Iterator<Item = i8> {
    (0_i8..60).filter(move |n| has(set, u32::from(n.unsigned_abs())))
}

fn set(field: &Field, text: &str) -> Result<u64, String> {
    text.split(',').try_fold(0, |set, item| Ok(set | one(field, item)?))
}

/// `*`, `3`, `1-5`, `mon-fri`, and any of them with a step: `*/5`; `3/5` goes on to the end.
fn one(field: &Field, item: &str) -> Result<u64, String> {
    let expected = || {
        format!(
            "a cron line whose {} is within {}-{} (`*`, `1,2`, `1-5`, `*/5`)",
            field.name, field.min, field.max
        )
    };
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, number(step)),
        None => (item, Some(1)),
    };
    let step = step.filter(|step| (1..=field.max).contains(step)).ok_or_else(expected)?;
    let (from, to) = match range.split_once('-') {
        _ if range == "*" => (Some(field.min), Some(field.max)),
        Some((from, to)) => (value(field, from), value(field, to)),
        None if item.contains('/') => (value(field, range), Some(field.max)),
        None => (value(field, range), value(field, range)),
    };
    match (from, to) {
        (Some(from), Some(to)) if from <= to => {
            let numbers = (from..=to).filter(|n| (n - from) % step == 0);
            Ok(numbers.fold(0, |set, n| set | 1 << n))
        }
        _ => Err(expected()),
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
            ("0 0 29 2 *",            true),
            ("0 0 30 2 mon",          true),
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
            ("0 0 30 2 *",            false),
            ("0 0 31 2,4,6 *",        false),
            ("@daily",                false),
            ("",                      false),
        ];
        for (line, expect) in table {
            assert_eq!(Cron::parse(line).is_ok(), expect, "{line:?}");
        }
    }

    #[test]
    fn a_line_is_the_numbers_that_it_names() {
        let minutes = |line: &str| -> Vec<i8> {
            bits(Cron::parse(&format!("{line} * * * *")).unwrap().minutes).collect()
        };
        assert_eq!(minutes("10-50/20"), [10, 30, 50]);
        assert_eq!(minutes("*/30"), [0, 30]);
        assert_eq!(minutes("40/10"), [40, 50]);
        assert_eq!(minutes("5,3,3-4"), [3, 4, 5]);
        assert_eq!(
            Cron::parse("0 0 * * 7"),
            Cron::parse("0 0 * * sun")
                .map(|sunday| Cron { weekdays: sunday.weekdays | 1 << 7, ..sunday })
        );
    }
}
