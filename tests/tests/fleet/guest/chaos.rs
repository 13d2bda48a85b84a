//! Runs come and end while the function is killed at random and everybody around it has a bad day. The
//! seed is printed; `GUEST_SEED` makes the same choices again, `GUEST_STEPS` more of them.
use super::site::{GUEST, PAST_BOOTS, Release, Settings, Site};
use e2e::fleet::Dice;
use e2e::{LONG, until};
use emulator::{Failing, Fault, When};
use spacelift_server::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const STEPS: u64 = 48;
/// So long more runs come than end, then fewer.
const TIDE_STEPS: u64 = 6;
/// So often Spacelift has a run of its own accord.
const ONE_OF_TURNS: u64 = 8;
/// Drains in a tick that are slow.
const SLOW_DRAINS: u32 = 4;
const SLOW_MS: u64 = 100;
/// Few machines go on a bad day; then it is a long one.
const GONE_MIN: usize = 5;
/// An invocation takes about this long, cold, on a busy machine.
const KILLED_MS: u64 = 400;

#[test]
fn nothing_busy_dies_whoever_is_killed_when() {
    chaos(Release::Before8);
}

#[test]
fn nor_does_it_where_a_hook_holds_what_is_to_end() {
    chaos(Release::From8);
}

fn chaos(release: Release) {
    let mut dice = Dice::of("GUEST_SEED");
    let steps = std::env::var("GUEST_STEPS").ok().and_then(|text| text.parse().ok());
    let site = Site::new(Settings { release, each: 2, ..Settings::default() });
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Spacelift hands out runs whatever the function is about to do, some of them just now.
        let mut others = dice.split();
        let (site, over) = (&site, &over);
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                site.crew.queue(i64::from(others.below(ONE_OF_TURNS) == 0));
                site.crew.turn();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let _ends = Over(over);
        let (least, mut n) = (steps.unwrap_or(STEPS), 0);
        while n < least || (site.group.gone().len() < GONE_MIN && n < 10 * least) {
            step(site, &mut dice, (n / TIDE_STEPS).is_multiple_of(2));
            n += 1;
        }
    });
    println!("{} runs, {} machines gone", site.crew.begun(), site.group.gone().len());
    assert!(site.group.gone().len() >= GONE_MIN, "hardly anything happened");
    assert_eq!(site.crew.busy_kills().len(), 0, "{:#?}", site.crew.busy_kills());
    comes_to_rest(&site);
}

/// The thread beside it ends too when a step fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn step(site: &Site, dice: &mut Dice, rises: bool) {
    let (come, end) = if rises { (4, 4) } else { (1, 2) };
    site.crew.queue(i64::try_from(dice.below(come)).unwrap_or(0));
    for worker in site.crew.busy() {
        if dice.below(end) == 0 {
            site.crew.finish(&worker);
        }
    }
    if dice.below(2) == 0 {
        site.boot();
    }
    spacelift_has_a_bad_day(site, dice);
    aws_has_a_bad_day(site, dice);
    let killed = (dice.below(3) == 0).then(|| Duration::from_millis(dice.below(KILLED_MS)));
    site.functions.lambda.kill_after(GUEST, killed);
    // What comes of it is not asked: the next tick sees what there is.
    let _ = site.try_tick();
}

fn spacelift_has_a_bad_day(site: &Site, dice: &mut Dice) {
    let server = site.server();
    server.heal();
    let field = ["workerPool", "workerDrainSet", "workerDrainSet", "apiKeyUser"];
    let field = field[usize::try_from(dice.below(4)).unwrap_or(0)];
    let failure = match dice.below(14) {
        0 => Failure::Status(500, "oops"),
        1 => Failure::TooMany { retry_after_s: Some(1) },
        2 => Failure::Slow(Duration::from_millis(dice.below(300))),
        3 => Failure::LostReply,
        4 => Failure::Error("internal error"),
        5 => {
            server.revoke_tokens();
            return;
        }
        _ => {
            // Time for a run between a look and a drain.
            let slow = Duration::from_millis(dice.below(SLOW_MS));
            server.fail("workerDrainSet", SLOW_DRAINS, Failure::Slow(slow));
            return;
        }
    };
    // Not always the first that comes.
    for _ in 0..dice.below(3) {
        server.fail(field, 1, Failure::Slow(Duration::from_millis(1)));
    }
    server.fail(field, 1, failure);
}

fn aws_has_a_bad_day(site: &Site, dice: &mut Dice) {
    let seed = dice.below(u64::MAX);
    let (when, status) = match dice.below(9) {
        0 => (When::Before, Some(400)),
        1 => (When::Before, Some(500)),
        2 => (When::After, Some(500)),
        3 => (When::After, Some(0)),
        _ => (When::Before, None),
    };
    let caller = Some("fn-guest".to_owned());
    let rate = Some(0.3);
    let fault = Fault { caller, when, status, rate, seed: Some(seed), ..Fault::default() };
    let faults = status.map(|_| fault);
    site.emulator.set_faults(faults.as_slice()).expect("faults");
    let code = "InsufficientInstanceCapacity".to_owned();
    let capacity = Some(u32::try_from(dice.below(6)).unwrap_or(0));
    let failing = Failing { code, times: None, capacity };
    let failing = (dice.below(4) == 0).then_some(&failing);
    site.emulator.fail_launches(&site.group.name, failing).expect("a rule for launches");
}

/// When all is well again, everything that was begun comes to its end, and nothing is left.
fn comes_to_rest(site: &Site) {
    site.server().heal();
    site.emulator.set_faults(&[]).expect("no faults");
    site.emulator.fail_launches(&site.group.name, None).expect("launches succeed");
    site.functions.lambda.kill_after(GUEST, None);
    site.server().pool(|pool| pool.pending = 0);
    // Machines in no group are taken for young ones for a while.
    site.set_clock(PAST_BOOTS);
    until("everything to be over", LONG, || {
        site.boot();
        site.crew.finish_all();
        let answer = site.try_tick();
        let standing = site.group.standing();
        let left = standing.instances.len() + standing.detached.len();
        match (standing.desired, left) {
            (0, 0) => Ok(()),
            _ => Err(format!("{standing:?}; {answer:?}")),
        }
    });
}
