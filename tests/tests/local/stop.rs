//! Ctrl-C: once finishes what runs, twice stops at once; both lose nothing.
use crate::stories::phases::{Held, Moment};
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{LONG, SHORT, until};
use nix::sys::signal::Signal;

#[test]
fn one_interrupt_finishes_what_runs_and_takes_nothing_new() {
    let held = Held::new(&[Moment::Plan, Moment::Apply]);
    let (mut up, runs) = held.up();
    up.server().signal(Signal::SIGINT);
    until("the drain to be told", SHORT, || {
        let said = std::fs::read_to_string(held.world.folder().join("up.err"));
        let said = said.unwrap_or_default();
        if said.contains("Ctrl-C again") { Ok(()) } else { Err(said) }
    });
    // It still answers while it drains.
    assert_eq!(up.run(id(&runs[1].1))["state"], "APPLYING");
    held.open();
    assert_eq!(up.server().ended(LONG).code(), Some(0));
    assert!(up.workers().is_empty(), "{:?}", up.workers());
    assert!(!held.world.data.join("server.json").exists(), "no address is left behind");

    let up = held.world.up(2);
    for (_, run) in &runs {
        up.becomes(id(run), "FINISHED");
    }
    held.world.prove(&up, Times::Peaceful);
}

#[test]
fn two_interrupts_stop_at_once_and_running_applies_go_on() {
    let held = Held::new(&[Moment::Plan, Moment::Apply]);
    let (mut up, runs) = held.up();
    up.server().signal(Signal::SIGINT);
    until("the drain to be told", SHORT, || {
        let said = std::fs::read_to_string(held.world.folder().join("up.err"));
        let said = said.unwrap_or_default();
        if said.contains("Ctrl-C again") { Ok(()) } else { Err(said) }
    });
    up.server().signal(Signal::SIGINT);
    // The gates are still shut: it does not wait for them.
    assert_eq!(up.server().ended(SHORT).code(), Some(130));
    held.open();

    let up = held.world.up(2);
    for (_, run) in &runs {
        up.becomes(id(run), "FINISHED");
    }
    held.world.prove(&up, Times::Killed);
}
