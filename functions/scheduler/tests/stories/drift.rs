//! Drift detection: schedules that fall due, looks that find something or nothing, and what follows.
use crate::invariants::Watch;
use crate::world::World;
use windlass_core::audit::AuditEntry;
use windlass_core::drift::{JITTER_MAX_MS, Looked, Unfit};
use windlass_core::event::Command;
use windlass_core::job::Class;
use windlass_core::keys;
use windlass_core::run::{Run, RunType, State, StateName};
use windlass_core::time::{MINUTE_MS, UnixMs};
use windlass_ports::Docs;
use windlass_ports::fake::Strike;

/// From the start of the world (08:00 UTC) to after the slot at nine, jitter and all.
const TO_NINE_M: u64 = 60 + JITTER_MAX_MS / MINUTE_MS + 2;
const DAY_M: u64 = 24 * 60;

/// One stack that looks at nine each day; `keys` are more of its keys, `drift` of its drift's.
fn net(keys: &str, drift: &str) -> String {
    format!(
        "version: 1\nstacks:\n  - name: net\n    project_root: stacks/net\n    {keys}\n    \
         drift: {{ schedule: [\"0 9 * * *\"], {drift} }}\n"
    )
}

/// `net`, applied.
async fn applied(keys: &str, drift: &str) -> World {
    let mut world = World::with(&net(keys, drift), &["net"]).await;
    if world.state("net").await == "UNCONFIRMED" {
        world.confirm("net").await;
        world.settle().await;
    }
    assert_eq!(world.state("net").await, "FINISHED");
    world
}

/// Minutes pass: the tick, the drift function, then everything that follows.
async fn minutes(world: &mut World, minutes: u64) {
    for _ in 0..minutes {
        world.advance(MINUTE_MS);
        scheduler::tick(&world.deps).await.expect("a tick");
        world.settle().await;
        drift::handle(&deps(world), world.now()).await.expect("the drift function");
        world.settle().await;
    }
}

fn deps(world: &World) -> drift::Deps {
    let scheduler::Deps { docs, queues, write_ids, .. } = world.deps.clone();
    drift::Deps { docs, queues, write_ids }
}

fn finds(world: &mut World, addresses: &[&str]) {
    let tool = world.tools.entry("net".into()).or_default();
    tool.drifted = addresses.iter().map(|&address| address.to_owned()).collect();
}

/// The stack's looks, oldest first.
async fn looks(world: &World, stack: &str) -> Vec<Run> {
    let runs = world.runs(stack).await;
    runs.into_iter().filter(|run| run.new.drift && run.new.kind == RunType::Proposed).collect()
}

async fn skipped(world: &World) -> Option<Unfit> {
    match world.head("net").await.drift.last?.looked {
        Looked::Skipped { why } => Some(why),
        _ => None,
    }
}

/// What was reported, oldest first: action and how many differ now.
async fn reports(world: &World) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for listed in world.docs.list(keys::AUDIT, None, 1_000).await.expect("list") {
        let entry: AuditEntry = world.load(&listed.key).await.expect("an entry");
        if entry.action.starts_with("drift ") {
            told.push((entry.action, entry.to.unwrap_or_default()));
        }
    }
    told
}

fn told(told: &[(&str, &str)]) -> Vec<(String, String)> {
    told.iter().map(|(action, count)| ((*action).to_owned(), (*count).to_owned())).collect()
}

async fn left_behind(world: &World) -> Vec<String> {
    let listed = world.docs.list(keys::DRIFT, None, 1_000).await.expect("list");
    listed.into_iter().map(|listed| listed.key).collect()
}

#[tokio::test]
async fn a_look_that_finds_nothing_is_silent() {
    let mut world = applied("autodeploy: true", "").await;
    let next = world.head("net").await.drift.next.expect("it is scheduled");
    let nine = UnixMs(world.now().0 / (60 * MINUTE_MS) * (60 * MINUTE_MS) + 60 * MINUTE_MS);
    assert!(next.since_ms(nine) < JITTER_MAX_MS && next >= nine);
    minutes(&mut world, 59).await;
    assert!(looks(&world, "net").await.is_empty(), "not before its time");
    minutes(&mut world, TO_NINE_M - 59).await;
    let looks = looks(&world, "net").await;
    let [look] = &looks[..] else { panic!("{looks:#?}") };
    assert_eq!((look.new.kind, look.class()), (RunType::Proposed, Class::Drift));
    assert_eq!(look.state, State::Finished);
    let head = world.head("net").await;
    assert_eq!(head.drift.last.as_ref().map(|last| &last.looked), Some(&Looked::Clean));
    assert_eq!((head.drift.turn, head.drift.found), (None, None));
    assert_eq!(head.last.map(|last| last.kind), Some(RunType::Tracked), "it is nobody's state");
    assert!(reports(&world).await.is_empty());
    assert!(left_behind(&world).await.is_empty());
}

#[tokio::test]
async fn only_another_set_of_addresses_is_news() {
    let mut world = applied("autodeploy: true", "").await;
    minutes(&mut world, 10).await;
    /// What a day's look finds, and what is reported of it: what happened, to how many addresses.
    type Day<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    #[rustfmt::skip]
    let days: [Day; 5] = [
        (&["a.x"],          &[("drift found", "1")]),
        (&["a.x"],          &[]),
        (&["a.x", "b.y"],   &[("drift changed", "2")]),
        (&[],               &[("drift cleared", "0")]),
        (&[],               &[]),
    ];
    let mut expect = Vec::new();
    for (addresses, news) in days {
        finds(&mut world, addresses);
        let day = if expect.is_empty() && news.len() == 1 && addresses.len() == 1 {
            TO_NINE_M - 10
        } else {
            DAY_M
        };
        minutes(&mut world, day).await;
        expect.extend(told(news));
        assert_eq!(reports(&world).await, expect, "{addresses:?}");
        let found = world.head("net").await.drift.found;
        assert_eq!(found.map(|found| found.drifted.addresses).unwrap_or_default(), addresses);
    }
    assert_eq!(looks(&world, "net").await.len(), 5);
    assert_eq!(world.applies("net"), 1, "looking applies nothing");
}

#[tokio::test]
async fn a_deployment_clears_what_was_found() {
    let mut world = applied("autodeploy: true", "").await;
    finds(&mut world, &["a.x"]);
    minutes(&mut world, TO_NINE_M).await;
    assert!(world.head("net").await.drift.found.is_some());
    world.touch("net").await;
    world.settle().await;
    assert_eq!(world.head("net").await.drift.found, None);
    assert_eq!(reports(&world).await, told(&[("drift found", "1"), ("drift cleared", "0")]));
}

#[tokio::test]
async fn reconcile_runs_under_the_stacks_ordinary_rules() {
    for (autodeploy, expect) in [(true, "FINISHED"), (false, "UNCONFIRMED")] {
        let keys = format!("autodeploy: {autodeploy}");
        let mut world = applied(&keys, "reconcile: true").await;
        finds(&mut world, &["a.x"]);
        minutes(&mut world, TO_NINE_M).await;
        assert_eq!(looks(&world, "net").await.len(), 1);
        let run = world.newest("net").await;
        assert_eq!((run.new.kind, run.new.drift), (RunType::Tracked, true));
        assert_eq!(run.state.name().as_str(), expect, "autodeploy: {autodeploy}");
        assert_eq!(run.new.because, "drift was found");
        assert_eq!(run.new.triggered_by.as_deref(), Some("drift detection"));
        let found = world.head("net").await.drift.found;
        assert_eq!(found.is_some(), !autodeploy, "it is cleared by the apply, not by the plan");
        // While somebody has to decide, nobody looks again.
        minutes(&mut world, DAY_M).await;
        let looked = world.head("net").await.drift.last.map(|last| last.looked);
        let busy = matches!(looked, Some(Looked::Skipped { why: Unfit::Busy { .. } }));
        assert_eq!(busy, !autodeploy, "{looked:?}");
    }
}

/// Drift is a difference from what was applied. Code that is newer, but that somebody rolled back
/// from, is not applied because something drifted.
#[tokio::test]
async fn a_rollback_is_what_is_compared_and_reconciled() {
    let mut world = applied("autodeploy: true", "reconcile: true").await;
    let old = world.newest("net").await.new.commit;
    world.touch("net").await;
    world.settle().await;
    world.roll_back("net", old.clone()).await;
    world.settle().await;
    assert_eq!(world.newest("net").await.state, State::Finished);
    finds(&mut world, &["a.x"]);
    minutes(&mut world, TO_NINE_M).await;
    let look = looks(&world, "net").await.pop().expect("a look");
    let run = world.newest("net").await;
    assert_eq!((&look.new.commit.sha, &run.new.commit.sha), (&old.sha, &old.sha));
    assert_eq!((run.new.kind, run.new.drift, run.state), (RunType::Tracked, true, State::Finished));
}

#[tokio::test]
async fn a_stack_that_can_tell_nothing_is_skipped_with_its_reason() {
    // Locked.
    let mut world = applied("autodeploy: true", "").await;
    world.command("net", Command::Lock { note: None, until: None }).await;
    world.settle().await;
    minutes(&mut world, TO_NINE_M).await;
    assert_eq!(skipped(&world).await, Some(Unfit::Locked { by: "ann".to_owned() }));
    // Never applied: its first run waits for a person, then is discarded.
    let mut world = World::with(&net("autodeploy: false", ""), &["net"]).await;
    let run = world.newest("net").await.id().clone();
    minutes(&mut world, TO_NINE_M).await;
    assert_eq!(skipped(&world).await, Some(Unfit::Busy { run: run.clone() }));
    world.command("net", Command::Discard { run, note: None }).await;
    world.settle().await;
    minutes(&mut world, DAY_M).await;
    assert_eq!(skipped(&world).await, Some(Unfit::NeverApplied));
    // Its last run failed; `ignore_state` looks all the same.
    for (drift, expect) in [("", 0), ("ignore_state: true", 1)] {
        let mut world = applied("autodeploy: true", drift).await;
        world.tools.entry("net".into()).or_default().plan_fails = Some("broken".to_owned());
        world.touch("net").await;
        world.settle().await;
        assert_eq!(world.state("net").await, "FAILED");
        world.tools.entry("net".into()).or_default().plan_fails = None;
        minutes(&mut world, TO_NINE_M).await;
        let why = skipped(&world).await;
        assert_eq!(looks(&world, "net").await.len(), expect, "{drift}: {why:?}");
        let failed = Unfit::NotFinished { state: StateName::Failed };
        assert_eq!(why, (expect == 0).then_some(failed), "{drift}");
    }
}

#[tokio::test]
async fn a_look_that_fails_says_so_and_keeps_what_is_known() {
    let mut world = applied("autodeploy: true", "").await;
    finds(&mut world, &["a.x"]);
    minutes(&mut world, TO_NINE_M).await;
    world.tools.entry("net".into()).or_default().plan_fails = Some("no credentials".to_owned());
    minutes(&mut world, DAY_M).await;
    let watch = world.head("net").await.drift;
    let looked = watch.last.map(|last| last.looked);
    assert_eq!(looked, Some(Looked::Broken { state: StateName::Failed }));
    assert!(watch.found.is_some());
    assert_eq!(world.head("net").await.last.map(|last| last.state), Some(StateName::Finished));
    assert!(left_behind(&world).await.is_empty());
}

const THREE: &str = r#"
version: 1
worker_pools: [{ name: default, drift_budget: BUDGET }]
stacks:
  - { name: a, project_root: stacks/a, autodeploy: true, drift: { schedule: ["0 9 * * *"] } }
  - { name: b, project_root: stacks/b, autodeploy: true, drift: { schedule: ["0 9 * * *"] } }
  - { name: c, project_root: stacks/c, autodeploy: true, drift: { schedule: ["0 9 * * *"] } }
"#;
const ALL: [&str; 3] = ["a", "b", "c"];

#[tokio::test]
async fn what_the_pools_budget_can_not_take_waits_its_turn_and_is_not_dropped() {
    for budget in [1, 2] {
        let definitions = THREE.replace("BUDGET", &budget.to_string());
        let mut world = World::with(&definitions, &ALL).await;
        let crew = std::mem::take(&mut world.crew);
        minutes(&mut world, TO_NINE_M).await;
        let (mut open, mut waiting) = (0, 0);
        for stack in ALL {
            let head = world.head(stack).await;
            open += head.proposed.len();
            let turn = head.drift.turn.expect("its look is due");
            waiting += usize::from(turn.place.is_none());
        }
        assert_eq!((open, waiting), (budget, 3 - budget));
        // A day later nothing has piled up.
        minutes(&mut world, DAY_M).await;
        assert_eq!(left_behind(&world).await.len(), 3, "{:?}", left_behind(&world).await);
        world.crew = crew;
        minutes(&mut world, 4).await;
        for stack in ALL {
            assert_eq!(looks(&world, stack).await.len(), 1, "{stack}");
            assert_eq!(world.head(stack).await.drift.turn, None, "{stack}");
        }
        assert!(left_behind(&world).await.is_empty());
    }
}

#[tokio::test]
async fn a_budget_of_none_starts_none_until_it_is_raised() {
    let mut world = World::with(&THREE.replace("BUDGET", "0"), &ALL).await;
    minutes(&mut world, TO_NINE_M).await;
    for stack in ALL {
        assert!(looks(&world, stack).await.is_empty());
        assert!(world.head(stack).await.drift.turn.is_some_and(|turn| turn.place.is_none()));
    }
    let raised = THREE.replace("BUDGET", "3");
    world.push("main", &[("windlass.yaml", &raised)]).await;
    minutes(&mut world, 2).await;
    for stack in ALL {
        assert_eq!(looks(&world, stack).await.len(), 1, "{stack}");
    }
}

#[tokio::test]
async fn a_look_that_is_not_wanted_any_more_gives_its_place_back() {
    let mut world = World::with(&THREE.replace("BUDGET", "0"), &ALL).await;
    minutes(&mut world, TO_NINE_M).await;
    let without =
        THREE.replace("BUDGET", "1").replace(", drift: { schedule: [\"0 9 * * *\"] }", "");
    world.push("main", &[("windlass.yaml", &without)]).await;
    minutes(&mut world, 5).await;
    for stack in ALL {
        let watch = world.head(stack).await.drift;
        assert_eq!((watch.next, watch.turn), (None, None));
        assert!(looks(&world, stack).await.is_empty());
    }
    assert!(left_behind(&world).await.is_empty());
}

#[tokio::test]
async fn after_an_outage_one_look_stands_for_all_that_were_missed() {
    let mut world = applied("autodeploy: true", "").await;
    world.advance(9 * DAY_M * MINUTE_MS);
    // What is older than some hours is looked for once an hour.
    minutes(&mut world, 63).await;
    assert_eq!(looks(&world, "net").await.len(), 1);
    minutes(&mut world, TO_NINE_M).await;
    assert_eq!(looks(&world, "net").await.len(), 2, "and the next comes at its time");
}

#[tokio::test]
async fn a_time_that_the_clocks_skip_or_show_twice_is_one_look() {
    // An hour or so before Berlin's clocks change, at 01:00 UTC of 2027-03-28 and 2027-10-31.
    for at in [1_806_191_400_000, 1_824_940_200_000] {
        let mut world = World::new();
        world.advance(at - world.now().0);
        let definitions = net("autodeploy: true", "timezone: Europe/Berlin").replace("0 9", "30 2");
        world.define(&definitions, &["net"]).await;
        world.settle().await;
        minutes(&mut world, 3 * 60).await;
        assert_eq!(looks(&world, "net").await.len(), 1, "{at}");
    }
}

/// A deployment that overlaps a look changes what it looks at: its findings would be of another
/// world, and reconciling them would undo the deployment.
#[tokio::test]
async fn a_look_that_a_deployment_overtook_finds_nothing() {
    let mut world = applied("autodeploy: true", "reconcile: true").await;
    finds(&mut world, &["a.x"]);
    let crew = std::mem::take(&mut world.crew);
    minutes(&mut world, TO_NINE_M).await;
    assert_eq!(world.head("net").await.proposed.len(), 1);
    world.touch("net").await;
    world.settle_messages().await;
    world.crew = crew;
    minutes(&mut world, 3).await;
    let watch = world.head("net").await.drift;
    assert_eq!(watch.last.map(|last| last.looked), Some(Looked::Overtaken));
    assert_eq!((watch.found, watch.turn), (None, None));
    let tracked: Vec<_> =
        world.runs("net").await.into_iter().filter(|r| r.new.kind == RunType::Tracked).collect();
    assert_eq!(tracked.len(), 2, "nothing was reconciled");
}

#[tokio::test]
async fn a_new_schedule_counts_from_when_it_is_defined() {
    let mut world = applied("autodeploy: true", "").await;
    minutes(&mut world, 30).await;
    let other = net("autodeploy: true", "").replace("0 9", "15 8,10");
    world.push("main", &[("windlass.yaml", &other)]).await;
    minutes(&mut world, 80).await;
    assert!(looks(&world, "net").await.is_empty(), "08:15 has passed, nine is not meant any more");
    minutes(&mut world, 30).await;
    assert_eq!(looks(&world, "net").await.len(), 1);
}

/// The drift function dies at every call, before its effect and after it; word is lost; everything
/// is handled twice: a slot is one run, and no place is lost.
#[tokio::test]
async fn a_slot_is_one_run_whatever_dies() {
    let mut before = applied("autodeploy: true", "").await;
    minutes(&mut before, 58).await;
    for _ in 0..8 {
        // Up to the ticket, and no further.
        before.advance(MINUTE_MS);
        scheduler::tick(&before.deps).await.expect("a tick");
        before.settle().await;
    }
    assert_eq!(left_behind(&before).await.len(), 1, "a ticket");
    let calls = {
        let world = before.fork();
        drift::handle(&deps(&world), world.now()).await.expect("handled");
        world.faults.calls()
    };
    assert!(calls >= 5, "{calls}");
    for number in 1..=calls {
        for strike in [Strike::Before, Strike::After, Strike::CrashBefore, Strike::CrashAfter] {
            for twice in [false, true] {
                let mut world = before.fork();
                world.twice = twice;
                world.faults.replan(move |n, _| (n == number).then_some(strike));
                let _ = drift::handle(&deps(&world), world.now()).await;
                world.faults.revive();
                let mut watch = Watch::default();
                minutes(&mut world, 6).await;
                watch.expect(&world, &format!("{strike:?} at {number}")).await;
                let runs = looks(&world, "net").await.len();
                assert_eq!(runs, 1, "{strike:?} at {number}, twice: {twice}");
                let left = left_behind(&world).await;
                assert!(left.is_empty(), "{strike:?} at {number}, twice {twice}: {left:?}");
            }
        }
    }
}

/// Word of a place got lost with its message: it comes again.
#[tokio::test]
async fn a_place_whose_word_was_lost_is_told_again() {
    let mut world = applied("autodeploy: true", "").await;
    minutes(&mut world, 58).await;
    while left_behind(&world).await.is_empty() {
        world.advance(MINUTE_MS);
        scheduler::tick(&world.deps).await.expect("a tick");
        world.settle().await;
    }
    drift::handle(&deps(&world), world.now()).await.expect("handled");
    let lost = world.receive(keys::INTENTS).await.expect("word of the place");
    windlass_ports::Queues::delete(&*world.queues, keys::INTENTS, &lost.receipt)
        .await
        .expect("lost");
    let report = drift::handle(&deps(&world), world.now()).await.expect("handled");
    assert_eq!(report, drift::Report::default(), "it is too early to worry");
    minutes(&mut world, 3).await;
    assert_eq!(looks(&world, "net").await.len(), 1);
    assert!(left_behind(&world).await.is_empty());
}
