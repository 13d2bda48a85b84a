//! Machines and their workers: who is drained, by whom, and what may be ended.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod common;

use common::{Bench, NOW, i, on, op, ops, victim};
use spacelift_server::{Failure, Options, Pool as There, Worker, now_s};
use windlass_core::drain::Holder;
use windlass_core::fleet::{Draining, Lease, Whereabouts};
use windlass_core::time::UnixMs;
use windlass_ports::Pool;
use windlass_ports::pool::{Drained, IfBusy};

const BUSY: Drained = Drained::Busy { slots: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn a_look_shows_every_worker_and_none_spoils_it() {
    let mut odd = on("w3", "i-3");
    odd.metadata = "{not json".to_owned();
    let at = now_s();
    let bench = Bench::with(&[
        Worker { created_at: at - 100, available_at: Some(at - 50), ..on("w1", "i-1") },
        on("w2", "i-2").busy().drained(),
        odd,
        Worker::on("w4", "i-4", "another-asg"),
        Worker { available_at: None, ..on("w5", "i-5") },
    ]);
    bench.server.pool(|pool| pool.pending = 7);
    let staff = bench.spacelift.look(NOW).await.expect("seen");
    assert_eq!((staff.demand.schedulable, staff.demand.drift), (7, 0));
    let rows: Vec<_> = staff
        .workers
        .iter()
        .map(|w| {
            (
                w.id.as_str(),
                w.on.clone(),
                w.slots,
                w.busy,
                w.draining.clone(),
                w.idle_since.is_some(),
            )
        })
        .collect();
    let here = |n| Whereabouts::On(i(n));
    let other = Whereabouts::OtherGroup { group: "another-asg".to_owned(), instance: Some(i(4)) };
    #[rustfmt::skip]
    assert_eq!(rows, [
        // id    machine               slots busy draining               idle since
        ("w1", here(1),                1,    0,   None,                   true),
        ("w2", here(2),                1,    1,   Some(Draining::Theirs), false),
        ("w3", Whereabouts::Unknown,   1,    0,   None,                   true),
        ("w4", other,                  1,    0,   None,                   true),
        ("w5", here(5),                1,    0,   None,                   false),
    ]);
    let ms = |seconds: i64| UnixMs(u64::try_from(seconds).unwrap() * 1_000);
    assert_eq!(staff.workers[0].registered_at, ms(at - 100));
    assert_eq!(staff.workers[0].idle_since, Some(ms(at - 50)));
    assert!(staff.workers.iter().all(|worker| worker.lease == Lease::Live));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_spacelift_is_asked_as_it_wants() {
    let bench = Bench::of(&Options { legacy: true, ..Options::default() }, &[on("w1", "i-1")]);
    for _ in 0..3 {
        let staff = bench.spacelift.look(NOW).await.expect("seen");
        assert_eq!((staff.workers.len(), staff.workers[0].idle_since), (1, None));
    }
    assert_eq!(bench.server.calls_of("workerPool").len(), 4, "it is asked once what it lacks");
    let mistakes = bench.server.take_mistakes();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].contains("availableAt"), "{mistakes:?}");
}

/// What happens just before the first, the second, … drain is carried out.
type Story =
    (&'static str, Vec<Worker>, Vec<fn(&mut There)>, IfBusy, Drained, &'static [&'static str]);

#[tokio::test(flavor = "multi_thread")]
async fn draining_a_machine() {
    use IfBusy::{DrainAlso, LetBe};
    let two = || vec![on("w1", "i-1"), on("w2", "i-1"), on("w9", "i-9")];
    let one = || vec![on("w1", "i-1"), on("w9", "i-9")];
    let none: fn(&mut There) = |_| {};
    let run1: fn(&mut There) = |pool| assert!(pool.run("w1"));
    let run2: fn(&mut There) = |pool| assert!(pool.run("w2"));
    let gone1: fn(&mut There) = |pool| pool.remove("w1");
    let busy2 = || vec![on("w1", "i-1"), on("w2", "i-1").busy()];
    let theirs = || vec![on("w1", "i-1"), on("w2", "i-1").drained()];
    let wrong = || vec![on("w1", "i-1"), Worker::on("w2", "i-1", "another-asg").busy()];
    #[rustfmt::skip]
    let table: Vec<Story> = vec![
        // what is so, or comes between           workers  before drains      if busy    answer           drained after
        ("an idle one",                           one(),   vec![],            LetBe,     Drained::Idle,   &["w1"]),
        ("all of a machine drain together",       two(),   vec![],            LetBe,     Drained::Idle,   &["w1", "w2"]),
        ("one of them has a run",                 busy2(), vec![],            LetBe,     BUSY,            &[]),
        ("… and it drains with it",               busy2(), vec![],            DrainAlso, BUSY,            &["w1", "w2"]),
        ("a run comes before the drain",          one(),   vec![run1],        LetBe,     BUSY,            &[]),
        ("… before the second drain",             two(),   vec![none, run2],  LetBe,     BUSY,            &[]),
        ("… and it drains with it",               two(),   vec![none, run2],  DrainAlso, BUSY,            &["w1", "w2"]),
        ("a person drains one of them",           theirs(), vec![],           LetBe,     Drained::Idle,   &["w1", "w2"]),
        ("… and a run comes to the other",        theirs(), vec![run1],       LetBe,     BUSY,            &["w2"]),
        ("its worker is gone meanwhile",          one(),   vec![gone1],       LetBe,     Drained::Nobody, &[]),
        ("nobody is there",                       vec![],  vec![],            LetBe,     Drained::Nobody, &[]),
        ("one there names another group",         wrong(), vec![],            LetBe,     BUSY,            &[]),
    ];
    for (name, workers, scripts, if_busy, answer, drained) in table {
        let bench = Bench::with(&workers);
        for script in scripts {
            bench.server.before("workerDrainSet", script);
        }
        let got = bench.spacelift.drain(&victim(1, "a"), if_busy, NOW).await.expect("answered");
        assert_eq!(got, answer, "{name}");
        assert_eq!(bench.drained(), drained, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_run_is_not_touched() {
    let bench = Bench::with(&[on("w1", "i-1"), on("w2", "i-1").busy()]);
    bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.expect("answered");
    assert_eq!(bench.server.drains(), [], "not even for a moment");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_it_drained_itself_is_taken_back() {
    let bench = Bench::with(&[on("w1", "i-1"), on("w2", "i-1"), on("w3", "i-1")]);
    bench.server.before("workerDrainSet", |_| {});
    bench.server.before("workerDrainSet", |pool| {
        assert!(pool.run("w2"));
        pool.set_drained("w3", true);
    });
    let got = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.expect("answered");
    assert_eq!(got, BUSY);
    assert_eq!(bench.drained(), ["w3"], "a person drained that one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_fails_leaves_no_trace() {
    for failure in [Failure::LostReply, Failure::Error("internal error")] {
        let bench = Bench::with(&[on("w1", "i-1"), on("w2", "i-1")]);
        bench.server.fail("workerDrainSet", 1, failure);
        let fault = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await;
        assert!(fault.expect_err("it failed").is_retryable());
        assert_eq!(bench.drained(), [""; 0]);
        let again = bench.spacelift.drain(&victim(1, "b"), IfBusy::LetBe, NOW).await;
        assert_eq!(again.expect("healthy"), Drained::Idle, "and it is nobody's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_taken_back_stays_ours() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    bench.server.before("workerDrainSet", |pool| assert!(pool.run("w1")));
    // The drain is carried out; its answer, and every try to take it back, is lost before.
    bench.server.fail("workerDrainSet", 1, Failure::LostReply);
    bench.server.fail("workerDrainSet", 2, Failure::Status(503, "busy"));
    let fault = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await;
    let said = fault.expect_err("it failed").chain();
    assert!(said.contains("the worker w1 on i-1 stays drained"), "{said}");
    let seen = bench.spacelift.look(NOW).await.expect("seen").workers.remove(0);
    assert_eq!(seen.draining, Some(Draining::Ours { op: op("a"), doomed: false }));
    assert_eq!(seen.busy, 1, "occupied, not stray");
    assert!(bench.spacelift.undrain(&i(1), &[], &op("a")).await.expect("taken back"));
    assert_eq!(bench.drained(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_a_drain_is() {
    let ours = |doomed| Draining::Ours { op: op("a"), doomed };
    for (name, told, another, expect, undrained) in [
        ("this process drained it", None, false, ours(false), true),
        ("… and the op is stored too", Some("a"), false, ours(false), true),
        ("another process, which stored the op", Some("a"), true, ours(true), false),
        ("another process, without a store", None, true, Draining::Theirs, false),
    ] {
        let bench = Bench::with(&[on("w1", "i-1")]);
        let drained = bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await;
        assert_eq!(drained.expect("drained"), Drained::Idle);
        let pool = if another { bench.another() } else { bench.spacelift.clone() };
        pool.remember(&told.map(|name| ops(1, name)).unwrap_or_default());
        let seen = pool.look(NOW).await.expect("seen").workers.remove(0);
        assert_eq!(seen.draining, Some(expect), "{name}");
        assert!(!pool.undrain(&i(1), &[], &op("b")).await.expect("asked"), "{name}: other op");
        let back = pool.undrain(&i(1), &[], &op("a")).await.expect("asked");
        assert_eq!(back, undrained, "{name}");
        assert_eq!(bench.drained().is_empty(), undrained, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_another_removal_is_not_ours() {
    for (name, told, by) in [("by this process", None, "b"), ("by a stored op", Some("b"), "")] {
        let bench = Bench::with(&[on("w1", "i-1")]);
        match by {
            "" => bench.server.pool(|pool| pool.set_drained("w1", true)),
            by => {
                let drained = bench.spacelift.drain(&victim(1, by), IfBusy::LetBe, NOW).await;
                assert_eq!(drained.unwrap(), Drained::Idle, "{name}");
            }
        }
        bench.spacelift.remember(&told.map(|name| ops(1, name)).unwrap_or_default());
        for if_busy in [IfBusy::LetBe, IfBusy::DrainAlso] {
            let got = bench.spacelift.drain(&victim(1, "a"), if_busy, NOW).await.unwrap();
            assert_eq!(got, Drained::Theirs, "{name}");
        }
        assert_eq!(bench.spacelift.doom(&victim(1, "a"), NOW).await.unwrap(), Drained::Theirs);
        assert_eq!(bench.drained(), ["w1"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_a_person_took_over_is_theirs() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.expect("drained");
    bench.server.pool(|pool| pool.set_drained("w1", false));
    bench.spacelift.look(NOW).await.expect("seen");
    bench.server.pool(|pool| pool.set_drained("w1", true));
    let seen = bench.spacelift.look(NOW).await.expect("seen").workers.remove(0);
    assert_eq!(seen.draining, Some(Draining::Theirs));
    assert!(!bench.spacelift.undrain(&i(1), &[], &op("a")).await.expect("asked"));
    assert_eq!(bench.drained(), ["w1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn just_before_the_end_all_is_read_again() {
    let idle = || vec![on("w1", "i-1").drained(), on("w2", "i-1").drained()];
    let a_run = || vec![on("w1", "i-1").drained(), on("w2", "i-1").drained().busy()];
    let newcomer = || vec![on("w1", "i-1").drained(), on("w2", "i-1")];
    let new_busy = || vec![on("w1", "i-1").drained(), on("w2", "i-1").busy()];
    let open = || vec![on("w1", "i-1"), on("w2", "i-1")];
    #[rustfmt::skip]
    let table = [
        // how it is found                  workers     stored op   answer           drained after
        ("by us, in another process",       idle(),     Some("a"),  Drained::Idle,   vec!["w1", "w2"]),
        ("by a person",                     idle(),     None,       Drained::Idle,   vec!["w1", "w2"]),
        ("by another op of ours",           idle(),     Some("b"),  Drained::Theirs, vec!["w1", "w2"]),
        ("with a run after all",            a_run(),    Some("a"),  BUSY,            vec!["w1", "w2"]),
        ("with a worker that came since",   newcomer(), Some("a"),  Drained::Idle,   vec!["w1", "w2"]),
        ("… and it has a run",              new_busy(), Some("a"),  BUSY,            vec!["w1", "w2"]),
        ("reopened by a person",            open(),     Some("a"),  Drained::Theirs, vec![]),
        ("nobody there",                    vec![],     Some("a"),  Drained::Nobody, vec![]),
    ];
    for (name, workers, told, answer, drained) in table {
        let bench = Bench::with(&workers);
        bench.spacelift.remember(&told.map(|name| ops(1, name)).unwrap_or_default());
        let got = bench.spacelift.doom(&victim(1, "a"), NOW).await.expect("answered");
        assert_eq!(got, answer, "{name}");
        assert_eq!(bench.drained(), drained, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_doomed_never_comes_back() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    let pool = &bench.spacelift;
    assert_eq!(pool.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.unwrap(), Drained::Idle);
    assert_eq!(pool.doom(&victim(1, "a"), NOW).await.unwrap(), Drained::Idle);
    assert_eq!(pool.doom(&victim(1, "a"), NOW).await.unwrap(), Drained::Idle, "once more");
    let seen = pool.look(NOW).await.unwrap().workers.remove(0);
    assert_eq!(seen.draining, Some(Draining::Ours { op: op("a"), doomed: true }));
    assert!(!pool.undrain(&i(1), &[], &op("a")).await.unwrap());
    assert_eq!(bench.drained(), ["w1"]);
}

/// What happens just before the first drain, if anything, and who holds it before and after.
type Hook =
    (&'static str, Vec<Worker>, Option<fn(&mut There)>, Holder, Holder, &'static [&'static str]);

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_closes_a_machine() {
    let came: fn(&mut There) = |pool| pool.workers.push(on("w2", "i-1"));
    let run1: fn(&mut There) = |pool| assert!(pool.run("w1"));
    let gone1: fn(&mut There) = |pool| pool.remove("w1");
    let idle = Holder::Draining { busy: 0 };
    let busy = Holder::Draining { busy: 1 };
    #[rustfmt::skip]
    let table: Vec<Hook> = vec![
        // what is there                  workers                          before drain  holder          closed             drained after
        ("an idle one",                   vec![on("w1", "i-1")],           None,         Holder::Open,   idle,              &["w1"]),
        ("one with a run",                vec![on("w1", "i-1").busy()],    None,         Holder::Open,   busy,              &["w1"]),
        ("a run comes first",             vec![on("w1", "i-1")],           Some(run1),   Holder::Open,   busy,              &["w1"]),
        ("another registers meanwhile",   vec![on("w1", "i-1")],           Some(came),   Holder::Open,   idle,              &["w1", "w2"]),
        ("it goes meanwhile",             vec![on("w1", "i-1")],           Some(gone1),  Holder::Open,   Holder::Nobody,    &[]),
        ("drained already, by anybody",   vec![on("w1", "i-1").drained()], None,         idle,           idle,              &["w1"]),
        ("nobody",                        vec![],                          None,         Holder::Nobody, Holder::Nobody,    &[]),
    ];
    for (name, workers, script, before, after, drained) in table {
        let bench = Bench::with(&workers);
        assert_eq!(bench.spacelift.holder(&i(1), NOW).await.unwrap(), before, "{name}");
        if let Some(script) = script {
            bench.server.before("workerDrainSet", script);
        }
        assert_eq!(bench.spacelift.close(&i(1), NOW).await.unwrap(), after, "{name}");
        assert_eq!(bench.drained(), drained, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_does_not_reopen_what_a_hook_closed() {
    let bench = Bench::with(&[on("w1", "i-1")]);
    bench.spacelift.drain(&victim(1, "a"), IfBusy::LetBe, NOW).await.unwrap();
    let holder = async || bench.spacelift.holder(&i(1), NOW).await.unwrap();
    assert_eq!(holder().await, Holder::Open, "it can be taken back");
    bench.spacelift.close(&i(1), NOW).await.unwrap();
    assert_eq!(holder().await, Holder::Draining { busy: 0 });
    assert!(!bench.spacelift.undrain(&i(1), &[], &op("a")).await.unwrap());
    assert_eq!(bench.drained(), ["w1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_pool_has_not() {
    let bench = Bench::with(&[on("w1", "i-1").busy()]);
    assert!(!bench.spacelift.tombstone(&i(2), &op("a"), NOW).await.unwrap());
    assert!(!bench.spacelift.ask_to_stop(&i(1), NOW).await.unwrap());
    assert_eq!(bench.server.calls().len(), 0);
}
