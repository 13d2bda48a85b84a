//! The autoscaler as a guest in Spacelift's own module: its role, its environment, no store.
mod chaos;
mod environment;
mod faults;
mod races;
mod site;

use emulator::Failing;
use site::{PAST_BOOTS, RELEASES, Release, Settings, Site};
use std::collections::BTreeSet;
use std::time::Duration;

fn only(all: &[String]) -> &str {
    let [one] = all else { panic!("{all:?}") };
    one
}

#[test]
fn a_burst_has_its_machines_at_once_and_they_go_when_it_is_over() {
    for release in RELEASES {
        burst(release);
    }
}

fn burst(release: Release) {
    let site = Site::new(Settings { release, ..Settings::default() });
    site.crew.queue(6);
    site.tick();
    // It says what it is, and what it can't do like that.
    let told = site.functions.lines();
    assert!(
        told.iter().any(|line| line["message"].as_str().is_some_and(|m| {
            m.starts_with("a guest without a store: no cooldowns, no second looks, no protection")
        })),
        "{told:#?}"
    );
    assert_eq!((site.group.desired(), site.group.at("Pending").len()), (6, 6));
    // What boots is not bought again.
    site.tick();
    assert_eq!(site.group.desired(), 6);
    site.boot();
    assert_eq!(site.crew.busy_machines().len(), 6);
    // Full of runs it stays; what ended its run goes, and nothing else.
    site.tick();
    assert_eq!(site.group.desired(), 6);
    let mut done = site.crew.busy();
    let busy = done.split_off(2);
    for worker in &done {
        site.crew.finish(worker);
    }
    site.tick();
    let went: BTreeSet<String> = site.group.gone().into_iter().collect();
    assert_eq!(went, done.iter().map(|worker| machine(worker)).collect());
    assert_eq!(site.group.desired(), 4);
    site.crew.turn();
    assert_eq!(site.crew.busy(), busy);
    site.crew.finish_all();
    site.tick();
    let standing = site.group.standing();
    assert_eq!((standing.desired, standing.instances.len(), standing.detached.len()), (0, 0, 0));
    assert!(site.group.ends().iter().all(|end| (end.why, end.hook) == release.end()));
}

/// Every step of a removal, and its order. The second machine of a process is ended without asking
/// again whether its group may end it.
#[test]
fn a_worker_is_drained_and_looked_at_again_before_its_machine_is_ended() {
    let detached: [&[&str]; 2] = [
        &["TerminateInstanceInAutoScalingGroup", "DetachInstances", "TerminateInstances"],
        &["DetachInstances", "TerminateInstances"],
    ];
    let whole: [&[&str]; 2] = [&["TerminateInstanceInAutoScalingGroup"]; 2];
    for (release, ends) in [(Release::Before8, detached), (Release::From8, whole)] {
        let settings = Settings { release, max_kill: 1, ..Settings::default() };
        let site = Site::with_machines(2, settings);
        for (n, end) in ends.into_iter().enumerate() {
            let before = site.asked().len();
            site.tick();
            let asked = site.asked().split_off(before);
            let from = asked.iter().position(|what| what == "workerDrainSet on").expect("a drain");
            let drained = ["workerDrainSet on", "workerPool", "DescribeAutoScalingGroups"];
            // At last, whether it had a run after all.
            assert_eq!(asked[from..], [&drained, end, &["workerPool"]].concat(), "{release:?}");
            assert_eq!(asked[from - 1], "workerPool");
            assert_eq!((site.group.desired(), site.group.gone().len()), (1 - n as u32, n + 1));
        }
    }
}

/// That module's defaults: one machine more, and one fewer, in a tick. It does not wait for one to
/// register before it buys the next.
#[test]
fn steps_are_as_large_as_the_module_says() {
    for release in RELEASES {
        steps(Settings { release, max_create: 1, max_kill: 1, ..Settings::default() });
    }
}

fn steps(settings: Settings) {
    let site = Site::new(settings);
    site.crew.queue(3);
    let mut sizes = Vec::new();
    for _ in 0..4 {
        site.tick();
        sizes.push(site.group.desired());
    }
    site.boot();
    site.crew.finish_all();
    for _ in 0..4 {
        site.tick();
        sizes.push(site.group.desired());
    }
    assert_eq!(sizes, [1, 2, 3, 3, 2, 1, 0, 0]);
}

#[test]
fn bounds_are_kept() {
    let sizes = e2e::fleet::Sizes { min: 1, desired: 1, max: 3 };
    let site = Site::new(Settings { sizes, ..Settings::default() });
    site.crew.queue(9);
    site.boot();
    site.tick();
    assert_eq!(site.group.desired(), 3);
    site.boot();
    assert_eq!(site.crew.busy().len(), 3);
    site.tick();
    assert_eq!(site.group.desired(), 3);
    site.server().pool(|pool| pool.pending = 0);
    site.crew.finish_all();
    site.tick();
    assert_eq!((site.group.desired(), site.group.gone().len()), (1, 2));
    site.tick();
    assert_eq!(site.group.desired(), 1);
}

/// A guest can't see why; it buys nothing twice, and what is there goes on working and going.
#[test]
fn machines_that_are_not_to_be_had_stop_nothing() {
    let site = Site::new(Settings::default());
    let code = "InsufficientInstanceCapacity".to_owned();
    let failing = Failing { code, times: None, capacity: Some(2) };
    site.emulator.fail_launches(&site.group.name, Some(&failing)).expect("launches fail");
    site.crew.queue(4);
    site.tick();
    site.boot();
    assert_eq!((site.group.desired(), site.crew.busy().len()), (4, 2));
    site.tick();
    // More runs than that buy more, up and down, while two machines are missing.
    site.crew.queue(3);
    site.tick();
    assert_eq!(site.group.desired(), 7);
    site.server().pool(|pool| pool.pending = 0);
    let busy = site.crew.busy();
    site.crew.finish(&busy[0]);
    site.tick();
    assert_eq!(site.group.gone(), [machine(&busy[0])]);
    site.emulator.fail_launches(&site.group.name, None).expect("launches succeed");
    site.boot();
    site.boot();
    site.crew.finish_all();
    for _ in 0..3 {
        site.tick();
    }
    assert_eq!((site.group.desired(), site.group.standing().instances.len()), (0, 0));
}

/// Workers that say nothing of use of themselves, or that are elsewhere's.
#[test]
fn odd_metadata_spoils_no_tick() {
    let site = Site::with_machines(3, Settings::default());
    let odd = [
        "",
        "null",
        "[]",
        "{not json",
        "{}",
        r#"{"asg_id":"somebody-elses"}"#,
        r#"{"instance_id":"i-0123456789abcdef0","asg_id":"somebody-elses"}"#,
        r#"{"instance_id":17,"asg_id":null}"#,
        r#"{"instance_id":"i-1, i-2 & more"}"#,
        r#"{"instance_id":"i-0123456789abcdef1"}"#,
    ];
    site.server().pool(|pool| {
        for (n, metadata) in odd.iter().enumerate() {
            let mut worker = spacelift_server::Worker::on(&format!("odd{n}"), "", "");
            (worker.metadata, worker.created_at) = ((*metadata).to_owned(), 1);
            pool.workers.push(worker);
        }
    });
    // They are no supply: five runs want two machines more than the three that are known.
    site.server().pool(|pool| pool.pending = 5);
    site.tick();
    assert_eq!(site.group.desired(), 5);
    site.boot();
    assert_eq!(site.crew.busy().len(), 5);
    site.crew.finish_all();
    site.tick();
    assert_eq!((site.group.desired(), site.group.gone().len()), (0, 5));
    let drained = site.server().drains();
    assert!(drained.iter().all(|(worker, _)| !worker.starts_with("odd")), "{drained:?}");
    assert!(site.functions.told("a person should look").len() >= odd.len());
}

#[test]
fn workers_of_one_machine_go_together_or_not_at_all() {
    for release in RELEASES {
        two_on_each(release);
    }
}

fn two_on_each(release: Release) {
    let site = Site::with_machines(2, Settings { release, each: 2, ..Settings::default() });
    site.crew.queue(1);
    site.crew.turn();
    let busy = site.crew.busy();
    let held = machine(only(&busy));
    site.tick();
    let went = site.group.gone();
    assert_ne!(only(&went), held);
    let drained = site.server().drains();
    let expect: Vec<_> = (0..2).map(|n| (e2e::fleet::Crew::id(&went[0], n), true)).collect();
    assert_eq!(drained, expect, "both of that machine, and nobody of the other");
    site.crew.finish_all();
    site.tick();
    assert_eq!(site.group.standing().instances.len(), 0);
}

/// Its workers are listed, and idle, for as long as the hook holds it.
#[test]
fn what_a_hook_holds_is_no_supply_and_stays_drained() {
    let settings = Settings { release: Release::From8, ..Settings::default() };
    let site = Site::with_machines(1, settings);
    site.hold(true);
    site.tick();
    let held = site.group.at("Terminating:Wait");
    let worker = e2e::fleet::Crew::id(only(&held), 0);
    site.crew.queue(1);
    for clock in [Duration::ZERO, 2 * PAST_BOOTS] {
        site.set_clock(clock);
        site.tick();
        site.boot();
        assert_eq!((site.group.desired(), site.group.at("Terminating:Wait")), (1, held.clone()));
        assert!(site.server().worker(&worker).is_some_and(|known| known.drained && !known.busy));
        assert_eq!(site.crew.busy().len(), 1, "another took the run");
    }
    site.hold(false);
    site.tick();
    assert_eq!(site.group.gone(), held);
}

/// A person drained it, with its run; its machine is older than the deadline of boots.
#[test]
fn a_drained_worker_with_a_run_is_no_stray() {
    let site = Site::with_machines(2, Settings::default());
    site.crew.queue(2);
    site.crew.turn();
    let [kept, other] = <[String; 2]>::try_from(site.crew.busy()).expect("two");
    site.server().pool(|pool| pool.set_drained(&kept, true));
    site.set_clock(2 * PAST_BOOTS);
    for _ in 0..3 {
        site.tick();
    }
    assert_eq!(site.group.gone(), Vec::<String>::new());
    assert!(site.server().worker(&other).is_some_and(|worker| !worker.drained));
    // When its run has ended it goes.
    site.crew.finish(&kept);
    site.tick();
    assert_eq!(site.group.gone(), [machine(&kept)]);
}

/// It is ended without making the group smaller. Nothing tells the run that waits from one that
/// would need a machine more, so there is one more too.
#[test]
fn a_machine_without_a_worker_is_replaced_after_ten_minutes() {
    for release in RELEASES {
        one_is_mute(release);
    }
}

fn one_is_mute(release: Release) {
    let site = Site::new(Settings { release, ..Settings::default() });
    site.crew.queue(2);
    site.tick();
    let [mute, other] = <[String; 2]>::try_from(site.group.at("Pending")).expect("two");
    site.crew.mute(std::slice::from_ref(&mute));
    site.boot();
    site.tick();
    assert_eq!((site.group.desired(), site.group.gone().len()), (2, 0));
    site.set_clock(PAST_BOOTS);
    site.tick();
    assert_eq!((site.group.gone(), site.crew.busy_machines()), (vec![mute], [other].into()));
    assert_eq!((site.group.desired(), site.group.at("Pending").len()), (3, 2));
}

fn machine(worker: &str) -> String {
    worker.split_once(':').expect("a worker of ours").0.to_owned()
}
