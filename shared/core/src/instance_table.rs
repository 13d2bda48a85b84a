//! The record's transitions, each as a row: who may do what to whom.
use super::*;
use crate::job::{Attempt, Phase};

const NOW: UnixMs = UnixMs(1_000_000);

fn job(n: u32) -> JobId {
    JobId { run: format!("r{n}").into(), phase: Phase::Plan, round: 0, attempt: Attempt(1) }
}
fn open() -> Instance {
    Instance::new(&"i-1".into(), &"p".into(), 2, "1", None, UnixMs(1))
}
fn ann() -> DrainedBy {
    DrainedBy::Operator("ann".into())
}
fn tick(op: &str) -> DrainedBy {
    DrainedBy::Tick { op: OpId(op.into()) }
}
fn hook() -> DrainedBy {
    DrainedBy::Hook {}
}
fn notice() -> DrainedBy {
    DrainedBy::Notice {}
}
fn drained(by: DrainedBy) -> Instance {
    open().drain(by, NOW).unwrap()
}
fn doomed(op: &str) -> Instance {
    drained(tick(op)).doom(&OpId(op.into())).unwrap()
}
fn tombstone() -> Instance {
    Instance::tombstone(&"i-1".into(), &"p".into(), hook(), NOW)
}
fn busy(record: &Instance) -> Instance {
    let slots = vec![Slot::Busy { job: job(1) }, Slot::Idle];
    Instance { slots, ..record.clone() }
}

/// Who owns the drain after, and whether it is doomed; or why nothing was done.
type After = Result<Option<(DrainedBy, bool)>, Refused>;

fn after(done: Result<Instance, Refused>) -> After {
    done.map(|next| next.drain.map(|drain| (drain.by, drain.doomed)))
}

/// Rules C2 and C3: a drain names its owner, only that one takes it back, a hook takes over what
/// could be taken back, and from doomed there is no way anywhere.
#[test]
fn drains_belong_to_whoever_made_them() {
    use Refused::{Busy, Doomed, NotDraining, Theirs};
    let b = DrainedBy::Operator("bob".into());
    let (drain, undrain) = (
        |r: &Instance, by| after(r.drain(by, UnixMs(2))),
        |r: &Instance, by| after(r.undrain(&by)),
    );
    let doom = |r: &Instance, op: &str| after(r.doom(&OpId(op.into())));
    let is = |by: DrainedBy| Ok(Some((by, false)));
    let gone = |op: &str| Ok(Some((tick(op), true)));
    let (by_ann, by_1, by_hook) = (drained(ann()), drained(tick("1")), drained(hook()));
    let by_notice = drained(notice());
    #[rustfmt::skip]
    let table = [
        ("open, an operator",        drain(&open(), ann()),            is(ann())),
        ("open, a tick",             drain(&open(), tick("1")),        is(tick("1"))),
        ("open, a hook",             drain(&open(), hook()),           is(hook())),
        ("busy, a tick",             drain(&busy(&open()), tick("1")), is(tick("1"))),
        ("ann's, another operator",  drain(&by_ann, b.clone()),        is(ann())),
        ("ann's, a tick",            drain(&by_ann, tick("1")),        Err(Theirs)),
        ("ann's, a hook",            drain(&by_ann, hook()),           is(hook())),
        ("tick's, the same op",      drain(&by_1, tick("1")),          is(tick("1"))),
        ("tick's, another op",       drain(&by_1, tick("2")),          Err(Theirs)),
        ("tick's, an operator",      drain(&by_1, ann()),              Err(Theirs)),
        ("tick's, a hook",           drain(&by_1, hook()),             is(hook())),
        ("hook's, a tick",           drain(&by_hook, tick("1")),       Err(Theirs)),
        ("hook's, an operator",      drain(&by_hook, ann()),           Err(Theirs)),
        ("busy, a notice",           drain(&busy(&open()), notice()),  is(notice())),
        ("tick's, a notice",         drain(&by_1, notice()),           Err(Theirs)),
        ("notice's, again",          drain(&by_notice, notice()),      is(notice())),
        ("notice's, a tick",         drain(&by_notice, tick("1")),     Err(Theirs)),
        ("notice's, a hook",         drain(&by_notice, hook()),        is(hook())),
        ("doomed, the same op",      drain(&doomed("1"), tick("1")),   gone("1")),
        ("doomed, a hook",           drain(&doomed("1"), hook()),      Err(Theirs)),
        ("open, back",               undrain(&open(), ann()),          Err(NotDraining)),
        ("ann's, back by another",   undrain(&by_ann, b),              Ok(None)),
        ("ann's, back by a tick",    undrain(&by_ann, tick("1")),      Err(Theirs)),
        ("tick's, back",             undrain(&by_1, tick("1")),        Ok(None)),
        ("tick's, back by another",  undrain(&by_1, tick("2")),        Err(Theirs)),
        ("tick's, back by ann",      undrain(&by_1, ann()),            Err(Theirs)),
        ("notice's, back by ann",    undrain(&by_notice, ann()),       Err(Theirs)),
        ("notice's, back by a tick", undrain(&by_notice, tick("1")),   Err(Theirs)),
        ("hook's, back by ann",      undrain(&by_hook, ann()),         Err(Theirs)),
        ("hook's, back by a hook",   undrain(&by_hook, hook()),        Err(Theirs)),
        ("doomed, back",             undrain(&doomed("1"), tick("1")), Err(Doomed)),
        ("tombstone, back",          undrain(&tombstone(), hook()),    Err(Doomed)),
        ("open, doomed",             doom(&open(), "1"),               Err(NotDraining)),
        ("ann's, doomed",            doom(&by_ann, "1"),               gone("1")),
        ("notice's, doomed",         doom(&by_notice, "1"),            gone("1")),
        ("notice's, busy",           doom(&busy(&by_notice), "1"),     Err(Busy)),
        ("tick's, doomed",           doom(&by_1, "1"),                 gone("1")),
        ("tick's, by another",       doom(&by_1, "2"),                 Err(Theirs)),
        ("hook's, doomed",           doom(&by_hook, "1"),              Err(Theirs)),
        ("busy, doomed",             doom(&busy(&by_1), "1"),          Err(Busy)),
        ("doomed, again",            doom(&doomed("1"), "1"),          gone("1")),
        ("doomed, by another",       doom(&doomed("1"), "2"),          Err(Theirs)),
    ];
    for (what, seen, expected) in table {
        assert_eq!(seen, expected, "{what}");
    }
}

/// A drained, doomed or given-up machine takes no run; the last two take no worker either.
#[test]
fn who_may_register_and_who_may_take_a_run() {
    let by_tick = drained(tick("1"));
    #[rustfmt::skip]
    let table = [
        (open(),                None,                   None),
        (drained(ann()),        None,                   Some(Refused::Draining)),
        (by_tick.clone(),       None,                   Some(Refused::Draining)),
        (drained(hook()),       None,                   Some(Refused::Draining)),
        (busy(&by_tick),        None,                   Some(Refused::Draining)),
        (doomed("1"),           Some(Refused::Doomed),    Some(Refused::Draining)),
        (tombstone(),           Some(Refused::Tombstone), Some(Refused::Draining)),
    ];
    for (record, registers, takes) in table {
        let anew =
            Instance::register(Some(&record), &record.id, &record.pool, 1, "2", None, UnixMs(9));
        assert_eq!(anew.as_ref().err().copied(), registers, "{record:?}");
        if let Ok(anew) = anew {
            assert_eq!((anew.epoch, anew.busy()), (record.epoch + 1, false));
            assert_eq!(anew.drain, record.drain, "a restart lifts no drain");
        }
        assert_eq!(record.take(record.epoch, &job(9)).err(), takes, "{record:?}");
    }
    // A run that it has already it goes on with.
    let held = busy(&by_tick);
    assert_eq!(held.take(held.epoch, &job(1)), Ok(held.clone()));
}

#[test]
fn idle_counts_from_the_end_of_the_last_run() {
    let two = open().take(1, &job(1)).unwrap().take(1, &job(2)).unwrap();
    assert_eq!(two.take(1, &job(3)), Err(Refused::NoFreeSlot));
    let one = two.release(1, &job(1), UnixMs(5)).unwrap();
    assert_eq!(one.idle_since, None, "another goes on");
    let none = one.release(1, &job(2), UnixMs(7)).unwrap();
    assert_eq!((none.idle_since, none.busy()), (Some(UnixMs(7)), false));
    assert_eq!(none.release(1, &job(2), UnixMs(8)), Err(Refused::NotHeld));
}

/// A tool may outlive its worker: what the next one found is in no slot, and may not be ended.
#[test]
fn what_an_earlier_process_left_keeps_the_machine() {
    let op = OpId("1".into());
    let found = Instance { leftovers: vec![job(1), job(2)], epoch: 2, ..drained(tick("1")) };
    assert_eq!((found.busy(), found.jobs().count()), (true, 0));
    assert_eq!(found.doom(&op), Err(Refused::Busy));
    assert_eq!(found.told(1, &job(1), NOW), Err(Refused::OtherEpoch));
    assert_eq!(found.told(2, &job(3), NOW), Err(Refused::NotHeld));
    let one = found.told(2, &job(1), NOW).unwrap();
    assert_eq!((one.busy(), one.idle_since), (true, None), "another is left");
    assert!(!one.void(2).unwrap().lost(), "of it nobody knows yet");
    let none = one.told(2, &job(2), NOW).unwrap();
    assert_eq!((none.busy(), none.idle_since), (false, Some(NOW)));
    assert!(none.doom(&op).unwrap().doomed());
}

/// A void counts as not busy (rule C4) and refuses the old epoch; no drain is lost with it.
#[test]
fn a_void_ends_an_epoch() {
    let void = busy(&drained(tick("1"))).void(1).unwrap();
    assert_eq!((void.epoch, void.busy(), void.lost()), (2, false, true));
    assert_eq!(void.renew(1), Err(Refused::OtherEpoch));
    assert_eq!(void.release(1, &job(1), NOW), Err(Refused::OtherEpoch));
    assert!(void.doom(&OpId("1".into())).unwrap().doomed());
}

/// Rule C6: one agent and one lease are the unit of loss: all runs of a machine are lost together,
/// and nobody ends it for one while another goes on.
#[test]
fn neighbours_are_lost_together() {
    let record = Instance::new(&"i-1".into(), &"p".into(), 3, "", None, NOW);
    let record = record.take(1, &job(1)).unwrap().take(1, &job(2)).unwrap();
    let record = record.drain(tick("1"), NOW).unwrap();
    let void = record.void(1).unwrap();
    assert_eq!((void.jobs().count(), void.busy(), void.lost()), (0, false, true));
    let voids = void.slots.iter().filter(|slot| matches!(slot, Slot::Void { .. })).count();
    assert_eq!((voids, void.holds(1, &job(2)), void.holds(2, &job(2))), (2, false, false));
    // One of two ended: the other keeps the machine.
    let left = record.release(1, &job(1), NOW).unwrap();
    assert_eq!((left.idle_since, left.doom(&OpId("1".into()))), (None, Err(Refused::Busy)));
}

/// Documents that were stored before the fleet had a say are read as they were meant.
#[test]
fn older_documents_are_read() {
    let stored = r#"{"id":"w1","pool":"p","epoch":3,"slots":[{"slot":"idle"}],
        "drain":{"by":"ann","at":7},"registered_at":1,"version":"0.1"}"#;
    let record: Instance = serde_json::from_str(stored).unwrap();
    assert_eq!(record.drain, Some(Drain { by: ann(), at: UnixMs(7), doomed: false }));
    assert_eq!((record.idle_since, record.is_tombstone()), (None, false));
    for by in [ann(), tick("1"), hook(), notice(), DrainedBy::Operator("hook".into())] {
        let text = serde_json::to_string(&drained(by.clone())).unwrap();
        let read: Instance = serde_json::from_str(&text).unwrap();
        assert_eq!(read.drain.map(|drain| drain.by), Some(by), "{text}");
    }
}
