//! Every state that one machine's record can come to, by whatever anybody may do to it.
use crate::drain::Holder;
use crate::fleet::{IfBusy, OpId, hold};
use crate::id::{InstanceId, PoolId};
use crate::instance::{DrainedBy, Instance};
use crate::job::{Attempt, JobId, Phase};
use crate::time::UnixMs;
use std::collections::VecDeque;

const NOW: UnixMs = UnixMs(1);

/// None: no record yet.
type State = Option<Instance>;

/// What is different only in time is the same state.
fn plain(state: Instance) -> Instance {
    Instance { epoch: state.epoch.min(1), idle_since: None, ..state }
}

/// All that ticks, hooks, operators, workers and sweeps may do, by name.
fn steps(state: &State) -> Vec<(&'static str, State)> {
    let (id, pool) = (InstanceId::from("i-1"), PoolId::from("p"));
    let record = state.as_ref();
    let job =
        |run: &str| JobId { run: run.into(), phase: Phase::Plan, round: 0, attempt: Attempt(1) };
    let ann = DrainedBy::Operator("ann".into());
    let mut next = Vec::new();
    for op in [OpId("1".into()), OpId("2".into())] {
        next.push(("drain", hold::drain(record, &op, IfBusy::LetBe, NOW).0));
        next.push(("drain", hold::drain(record, &op, IfBusy::DrainAlso, NOW).0));
        next.push(("doom", hold::doom(record, &op).0));
        next.push(("undrain", hold::undrain(record, &op).0));
        next.push(("tombstone", hold::tombstone(record, &id, &pool, &op, NOW).0));
    }
    next.push(("close", hold::close(record, &id, &pool, NOW).0));
    next.push(("register", Instance::register(record, &id, &pool, 2, "", None, NOW).ok()));
    if let Some(record) = record {
        // A worker that died: the next one finds what it left.
        let found = Instance::register(Some(record), &id, &pool, 2, "", None, NOW).ok();
        let left = record.jobs().cloned().collect();
        next.push(("register", found.map(|found| Instance { leftovers: left, ..found })));
        for run in ["r1", "r2"] {
            next.push(("told", record.told(record.epoch, &job(run), NOW).ok()));
            next.push(("take", record.take(record.epoch, &job(run)).ok()));
            next.push(("release", record.release(record.epoch, &job(run), NOW).ok()));
        }
        next.push(("void", record.void(record.epoch).ok()));
        next.push(("operator", record.drain(ann.clone(), NOW).ok()));
        next.push(("operator", record.undrain(&ann).ok()));
        next.push(("notice", record.drain(DrainedBy::Notice {}, NOW).ok()));
    }
    next.retain(|(_, to)| to.is_some());
    next.into_iter().map(|(what, to)| (what, to.map(plain))).collect()
}

/// Rules C1 to C4: a doomed machine has no run and gets none, nor a worker; what a hook closed gets
/// no run; a fence stays; nobody takes back another's drain; and from every state there is a way on
/// to a machine that may be ended.
#[test]
fn no_way_leads_back() {
    let mut known: Vec<State> = vec![None];
    let mut queue = VecDeque::from([None::<Instance>]);
    while let Some(from) = queue.pop_front() {
        for (what, to) in steps(&from) {
            let after = to.as_ref().expect("a record");
            let case = || format!("{what}: {from:#?} → {after:#?}");
            if let Some(before) = &from {
                let more = after.jobs().count() > before.jobs().count();
                assert!(!before.closed() || (after.closed() && !more), "{}", case());
                assert!(before.drain.is_none() || !more, "{}", case());
                assert!(!before.doomed() || after == before || what == "void", "{}", case());
                let owner = |r: &Instance| r.drain.as_ref().map(|drain| drain.by.clone());
                let of_ticks = owner(before).is_none_or(|by| !by.leaves_the_end_to_a_tick());
                if !of_ticks && what != "operator" && what != "close" {
                    let theirs = owner(after) == owner(before);
                    assert!(theirs || (what == "doom" && after.doomed()), "{}", case());
                }
            }
            assert!(!after.doomed() || !after.busy(), "{}", case());
            // Only its end, or a worker that finds it gone, takes a leftover away.
            let kept = |before: &Instance| {
                before.leftovers.iter().all(|left| after.leftovers.contains(left))
            };
            let told = what == "told" || what == "register";
            assert!(told || from.as_ref().is_none_or(kept), "{}", case());
            if !known.contains(&to) {
                known.push(to.clone());
                queue.push_back(to);
            }
        }
    }
    for state in &known {
        let free = [Holder::Draining { busy: 0 }, Holder::Lost, Holder::Tombstone];
        let busy = state.as_ref().is_some_and(Instance::busy);
        let holder = hold::holder(state.as_ref());
        assert!(!busy || !free.contains(&holder), "a hook would let {state:#?} go");
        let op = OpId("1".into());
        let (closed, _) = hold::close(state.as_ref(), &"i-1".into(), &"p".into(), NOW);
        let closed = closed.or_else(|| state.clone()).expect("a record or a tombstone");
        assert!(closed.closed(), "a hook closes {state:#?}");
        let (fenced, _) = hold::tombstone(state.as_ref(), &"i-1".into(), &"p".into(), &op, NOW);
        assert_eq!(fenced.is_some(), state.is_none());
    }
    assert!(known.len() > 60, "{} states", known.len());
}
