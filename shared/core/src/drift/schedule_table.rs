use super::*;
use jiff::civil::DateTime;

fn drift(lines: &[&str], timezone: &str) -> Drift {
    Drift {
        schedule: lines.iter().map(|&line| line.to_owned()).collect(),
        timezone: timezone.to_owned(),
        reconcile: false,
        ignore_state: false,
    }
}

/// Without jitter, so that a table says what the lines mean.
fn plain(lines: &[&str], zone: &str) -> Schedule {
    Schedule { jitter_ms: 0, ..Schedule::new(&drift(lines, zone), &"s".into()).unwrap() }
}

fn at(utc: &str) -> UnixMs {
    let stamp: Timestamp = format!("{utc}Z").parse().unwrap();
    UnixMs(u64::try_from(stamp.as_millisecond()).unwrap())
}

fn utc(at: UnixMs) -> String {
    at.rfc3339().get(..16).unwrap().to_owned()
}

#[test]
fn slots() {
    const BERLIN: &str = "Europe/Berlin";
    /// The case, the schedule's lines and zone, a moment, and the slots that follow it.
    type Row<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, &'a [&'a str]);
    #[rustfmt::skip]
    let table: &[Row] = &[
        ("each weekday, in winter",        &["0 7 * * 1-5"], BERLIN, "2026-11-25T07:14", &["2026-11-26T06:00", "2026-11-27T06:00", "2026-11-30T06:00"]),
        ("the same hour in summer",        &["0 7 * * *"],   BERLIN, "2027-03-27T00:00", &["2027-03-27T06:00", "2027-03-28T05:00"]),
        ("skipped: once, after the gap",   &["30 2 * * *"],  BERLIN, "2027-03-27T12:00", &["2027-03-28T01:00", "2027-03-29T00:30"]),
        ("two skipped are one",            &["0,30 2 * * *"],BERLIN, "2027-03-27T12:00", &["2027-03-28T01:00", "2027-03-29T00:00"]),
        ("shown twice: the first time",    &["30 2 * * *"],  BERLIN, "2026-10-24T12:00", &["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("each half hour over the gap",    &["*/30 * * * *"],BERLIN, "2027-03-28T00:10", &["2027-03-28T00:30", "2027-03-28T01:00", "2027-03-28T01:30"]),
        ("each half hour over the overlap",&["*/30 * * * *"],BERLIN, "2026-10-25T00:10", &["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]),
        ("several lines, one moment once", &["0 6 * * *", "0 6,18 * * *"], "UTC", "2026-01-01T00:00", &["2026-01-01T06:00", "2026-01-01T18:00", "2026-01-02T06:00"]),
        ("29 February",                    &["0 0 29 2 *"],  "UTC",  "2026-03-01T00:00", &["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("29 February, over 2100",         &["0 0 29 2 *"],  "UTC",  "2096-03-01T00:00", &["2104-02-29T00:00"]),
        ("day of month or day of week",    &["0 0 13 * fri"],"UTC",  "2026-11-01T00:00", &["2026-11-06T00:00", "2026-11-13T00:00", "2026-11-20T00:00"]),
        ("the last day of a long month",   &["0 0 31 * *"],  "UTC",  "2026-11-01T00:00", &["2026-12-31T00:00", "2027-01-31T00:00", "2027-03-31T00:00"]),
        ("half an hour of summer time",    &["15 2 * * *"],  "Australia/Lord_Howe", "2026-10-03T12:00", &["2026-10-03T15:30", "2026-10-04T15:15"]),
        ("the clocks skip midnight",       &["0 0 * * *"],   "Africa/Cairo", "2026-04-23T12:00", &["2026-04-23T22:00", "2026-04-24T21:00"]),
        ("a zone that skipped a day",      &["0 9 * * *"],   "Pacific/Apia", "2011-12-29T20:00", &["2011-12-30T10:00", "2011-12-30T19:00"]),
        ("a moment itself is not after it",&["0 0 * * *"],   "UTC",  "2026-01-01T00:00", &["2026-01-02T00:00"]),
    ];
    for (name, lines, zone, after, expect) in table {
        let schedule = plain(lines, zone);
        let mut after = at(&format!("{after}:00"));
        for expect in *expect {
            after = schedule.slot_after(after).expect(name);
            assert_eq!(utc(after), *expect, "{name}");
        }
    }
}

/// The same rules once more, minute by minute: a line of named hours comes with the first minute
/// at which the clock shows its time or has gone past it.
#[test]
fn a_line_agrees_with_a_clock_that_is_read_every_minute() {
    let names = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"];
    let days = ["2027-03-27", "2026-10-24", "2027-03-13", "2026-10-31", "2026-10-03", "2027-04-03"];
    for zone in names {
        let zone = zones().get(zone).unwrap();
        for day in days {
            let start = at(&format!("{day}T00:00:00"));
            for line in ["30 2 * * *", "0 0,3 * * *", "15,45 1 * * *"] {
                let cron = Cron::parse(line).unwrap();
                let (minutes, hours): (Vec<i8>, i8) = match line {
                    "30 2 * * *" => (vec![30], 2),
                    "0 0,3 * * *" => (vec![0], 0),
                    _ => (vec![15, 45], 1),
                };
                let wanted = |clock: DateTime| {
                    let hour = clock.hour() == hours || (hours == 0 && clock.hour() == 3);
                    hour && minutes.contains(&clock.minute())
                };
                let (mut expect, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
                let clock = |n: u64| {
                    let at = start.plus_ms(n * MINUTE_MS);
                    let ms = i64::try_from(at.0).unwrap();
                    (at, zone.to_datetime(Timestamp::from_millisecond(ms).unwrap()))
                };
                for n in 1..=3 * 24 * 60 {
                    let ((_, before), (now, shown)) = (clock(n - 1), clock(n));
                    // Every time on the clock's face from the last minute to this one.
                    let mut face = before.saturating_add(jiff::Span::new().minutes(1));
                    let mut hit = false;
                    while face <= shown {
                        hit |= wanted(face) && seen.insert(face);
                        face = face.saturating_add(jiff::Span::new().minutes(1));
                    }
                    if hit {
                        expect.push(now);
                    }
                }
                let mut got = Vec::new();
                let stamp =
                    |at: UnixMs| Timestamp::from_millisecond(i64::try_from(at.0).unwrap()).unwrap();
                let (mut after, end) =
                    (stamp(start), stamp(start.plus_ms(3 * 24 * 60 * MINUTE_MS)));
                while let Some(next) = cron.next_after(after, &zone).filter(|next| *next <= end) {
                    got.push(UnixMs(u64::try_from(next.as_millisecond()).unwrap()));
                    after = next;
                }
                assert_eq!(got, expect, "{line} from {day} in {:?}", zone.iana_name());
            }
        }
    }
}

#[test]
fn due() {
    let daily = plain(&["0 6 * * *"], "UTC");
    #[rustfmt::skip]
    let table = [
        ("not yet",                       "2026-01-01T06:00", "2026-01-02T05:59", (false, "2026-01-01T06:00", "2026-01-02T06:00")),
        ("now",                           "2026-01-01T06:00", "2026-01-02T06:00", (true,  "2026-01-02T06:00", "2026-01-03T06:00")),
        ("a little late",                 "2026-01-01T06:00", "2026-01-02T06:04", (true,  "2026-01-02T06:00", "2026-01-03T06:00")),
        ("after an outage, one for all",  "2026-01-01T06:00", "2026-03-05T09:00", (true,  "2026-03-05T08:55", "2026-03-06T06:00")),
        ("a clock that was set back",     "2026-01-02T06:00", "2026-01-01T00:00", (false, "2026-01-02T06:00", "2026-01-03T06:00")),
    ];
    for (name, seen, now, (is, then, next)) in table {
        let due = daily.due(at(&format!("{seen}:00")), at(&format!("{now}:00")));
        let got = (due.now, utc(due.seen), due.next.map(utc));
        assert_eq!(got, (is, then.to_owned(), Some(next.to_owned())), "{name}");
    }
}

/// However the wake-ups fall, each slot is met once, within its jitter, and none before its time.
#[test]
fn jitter_loses_no_slot_and_repeats_none() {
    for (line, period_m) in [("* * * * *", 1), ("*/3 * * * *", 3), ("*/20 * * * *", 20)] {
        for stack in ["a", "network", "another-one"] {
            let schedule = Schedule::new(&drift(&[line], "UTC"), &stack.into()).unwrap();
            let (mut seen, start) = (at("2026-01-01T00:00:00"), at("2026-01-01T00:00:00"));
            let mut looks = 0;
            for step in 1..=720 {
                let now = start.plus_ms(step * 5_000);
                let due = schedule.due(seen, now);
                assert!(due.next.is_some_and(|next| next > now || !due.now), "{line} {stack}");
                looks += u64::from(due.now);
                if due.now {
                    seen = due.seen;
                }
            }
            // The hour's last slot may still be held back.
            let slots = 60 / period_m;
            assert!((slots - 1..=slots).contains(&looks), "{line} {stack}: {looks}");
        }
    }
}

#[test]
fn stacks_of_one_schedule_are_spread() {
    let looks: std::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let stack = StackId(format!("stack-{n}"));
            let schedule = Schedule::new(&drift(&["0 6 * * *"], "UTC"), &stack).unwrap();
            let due = schedule.due(at("2026-01-01T00:00:00"), at("2026-01-01T00:00:00"));
            due.next.unwrap().since_ms(at("2026-01-01T06:00:00")) / MINUTE_MS
        })
        .collect();
    assert_eq!(looks, (0..5).collect(), "over the five minutes, and no more");
}

#[test]
fn a_zone_is_known_by_its_name_alone() {
    for (name, known) in [("UTC", true), ("Europe/Berlin", true), ("Mars/Olympus", false)] {
        assert_eq!(is_zone(name), known, "{name}");
    }
    assert!(Schedule::new(&drift(&["0 6 * *"], "UTC"), &"s".into()).is_none());
}
