//! A run comes between a look and a drain.
use super::machine;
use super::site::{RELEASES, Release, Settings, Site};
use e2e::fleet::Crew;

#[test]
fn who_takes_a_run_in_between_is_let_be() {
    RELEASES.into_iter().for_each(takes_a_run);
}

fn takes_a_run(release: Release) {
    let site = Site::with_machines(1, Settings { release, ..Settings::default() });
    let worker = Crew::id(&site.group.at("InService")[0], 0);
    site.crew.run_before_the_next_drain(&worker);
    site.tick();
    assert_eq!(site.server().drains(), [(worker.clone(), true), (worker.clone(), false)]);
    let left = site.server().worker(&worker).expect("it is there");
    assert!(left.busy && !left.drained);
    assert_eq!((site.group.desired(), site.group.gone().len()), (1, 0));
    let last = site.last();
    assert_eq!((&last["spared"], &last["failed"]), (&1.into(), &0.into()));
    // It takes runs again, and goes when it has none.
    site.crew.finish(&worker);
    site.crew.queue(1);
    site.crew.turn();
    assert_eq!(site.crew.busy(), std::slice::from_ref(&worker));
    site.crew.finish(&worker);
    site.tick();
    assert_eq!(site.group.gone(), [machine(&worker)]);
}

/// Spacelift's own stops there; here another goes in its place.
#[test]
fn another_goes_in_its_place() {
    RELEASES.into_iter().for_each(another);
}

fn another(release: Release) {
    let site = Site::with_machines(3, Settings { release, max_kill: 1, ..Settings::default() });
    // All were launched at once: the first by name is asked first.
    let first = Crew::id(&site.group.at("InService")[0], 0);
    site.crew.run_before_the_next_drain(&first);
    site.tick();
    let gone = site.group.gone();
    assert_eq!((site.group.desired(), gone.len()), (2, 1));
    assert_ne!(gone[0], machine(&first));
    assert_eq!(site.crew.busy(), [first]);
}

/// The second of a machine's workers has a run when the first is drained already: both are taken back.
#[test]
fn one_run_keeps_all_workers_of_its_machine() {
    RELEASES.into_iter().for_each(one_run);
}

fn one_run(release: Release) {
    let site = Site::with_machines(1, Settings { release, each: 2, ..Settings::default() });
    let instance = site.group.at("InService").remove(0);
    let workers = [Crew::id(&instance, 0), Crew::id(&instance, 1)];
    // Before the first drain nothing happens; before the second, a run.
    site.server().before("workerDrainSet", |_| {});
    site.crew.run_before_the_next_drain(&workers[1]);
    site.tick();
    let drained = |id: &String| site.server().worker(id).is_some_and(|worker| worker.drained);
    assert!(!workers.iter().any(drained), "{:?}", site.server().drains());
    assert_eq!((site.group.desired(), site.group.gone().len()), (1, 0));
}

/// A worker registers on a machine whose others are drained by now: the last look finds it.
#[test]
fn who_registers_in_between_is_found_by_the_last_look() {
    RELEASES.into_iter().for_each(registers);
}

fn registers(release: Release) {
    let site = Site::with_machines(1, Settings { release, ..Settings::default() });
    let instance = site.group.at("InService").remove(0);
    let (late, group) = (Crew::id(&instance, 1), site.group.name.clone());
    // The look, the drain's own, and then the one before the end.
    for _ in 0..2 {
        site.server().before("workerPool", |_| {});
    }
    let (id, on) = (late.clone(), instance.clone());
    site.server().before("workerPool", move |pool| {
        pool.workers.push(spacelift_server::Worker::on(&id, &on, &group));
    });
    site.server().before("workerDrainSet", |_| {});
    site.crew.run_before_the_next_drain(&late);
    site.tick();
    assert_eq!(site.group.gone(), Vec::<String>::new());
    assert_eq!(site.crew.busy(), std::slice::from_ref(&late));
    site.crew.finish(&late);
    site.tick();
    assert_eq!(site.group.gone(), [instance]);
}
