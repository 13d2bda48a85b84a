//! Definitions that change while a look waits for its place.
use super::*;
use crate::definition::{Drift, fixture};
use crate::event::{StackEnvelope, StackEvent};
use crate::run::Commit;
use crate::stack::{Facts, StackHead, decide};
use crate::time::UnixMs;

/// 2026-11-25T07:00:30Z
const NOW: UnixMs = UnixMs(1_795_590_030_000);

fn def(lines: &[&str], pool: &str) -> StackDef {
    let schedule = lines.iter().map(|&line| line.to_owned()).collect();
    let timezone = "UTC".to_owned();
    let drift = Drift { schedule, timezone, reconcile: false, ignore_state: false };
    let drift = (!lines.is_empty()).then_some(drift);
    StackDef { drift, worker_pool: pool.into(), ..fixture("s") }
}

fn define(head: StackHead, def: StackDef, revision: u64) -> StackHead {
    let event = StackEvent::Define { def: Box::new(def), commit: "c".into(), revision };
    let id = EventId(format!("define-{revision}"));
    let envelope = StackEnvelope { id, stack: "s".into(), at: NOW, hops: 0, event };
    decide(head, &envelope, &Facts::default(), NOW).head
}

#[test]
fn what_waits_follows_its_definition() {
    let due = UnixMs(NOW.0 - 90_000);
    let (nine, ten) = (&["0 9 * * *"][..], &["0 10 * * *"][..]);
    let [_, h8, h9, h10] = [0, 1, 2, 3].map(|hours| NOW.0 + hours * 3_600_000);
    #[rustfmt::skip]
    let table = [
        // name                         lines            pool  place    turn    next is between
        ("nothing changes",             nine,            "p",  None,    true,   Some((h8, h9 + 300_000))),
        ("another schedule",            ten,             "p",  None,    true,   Some((h9, h10 + 300_000))),
        ("another pool: it asks there", nine,            "q",  None,    false,  Some((due.0, due.0))),
        ("another pool, with a place",  nine,            "q",  Some(0), true,   Some((h8, h9 + 300_000))),
        ("no schedule any more",        &[][..],         "p",  None,    false,  None),
        ("none, with a place",          &[][..],         "p",  Some(0), true,   None),
    ];
    for (name, lines, pool, place, waits, next) in table {
        let mut head = define(StackHead::new(&"s".into()), def(nine, "p"), 1);
        head.drift.turn = Some(drift::Turn { due, pool: "p".into(), place });
        head.drift.applied = Some(Commit::default());
        let head = define(head, def(lines, pool), 2);
        assert_eq!(head.drift.turn.is_some(), waits, "{name}");
        let got = head.drift.next.map(|next| next.0);
        let fits = match (got, next) {
            (Some(got), Some((from, to))) => (from..=to).contains(&got),
            (got, next) => got.is_none() && next.is_none(),
        };
        assert!(fits, "{name}: {got:?}");
        // Whatever is to come, somebody will wake this stack for it.
        let wake = head.drift.next.map(|next| next.minute() + 1);
        assert!(wake.is_none_or(|wake| head.due_minute.is_some_and(|due| due <= wake)), "{name}");
    }
}
