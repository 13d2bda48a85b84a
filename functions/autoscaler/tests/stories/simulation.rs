//! Chance, by seed: runs come and end, machines boot, fail, leak and are lost, operators and AWS
//! change their minds, messages are lost and repeated, claims fall between any two calls, and both
//! functions die at random calls.
//!
//! After every call: nothing that has a run was ended, but by the weather. At the end everything is
//! healed: every hook is completed, every run has run, and nothing is left that nobody needs.
//!
//! `SIM_SEED=n` runs one seed, `SIM_STEPS=n` that many minutes of each.
use super::world::{World, min};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use windlass_core::fleet::{Notice, Place};
use windlass_core::id::InstanceId;
use windlass_core::time::SECOND_MS;
use windlass_ports::fake::Strike;

const SEEDS: u64 = 12;
const MINUTES: u64 = 200;
/// SplitMix64.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (n ^ (n >> 31)) % sides.max(1)
    }
    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = self.roll(from.len() as u64);
        from.get(usize::try_from(place).expect("small")).cloned()
    }
}

struct Sim {
    seed: u64,
    dice: Dice,
    world: World,
    log: Arc<Mutex<String>>,
    asked: u64,
    ran: u64,
}

/// A claim at any moment, on any machine that lets it.
fn claim(world: &World, dice: &mut Dice) {
    let alive = |instance: &InstanceId| {
        let seen = world.fleet.machine(instance);
        seen.is_some_and(|seen| !matches!(seen.place, Place::Terminated))
    };
    let all: Vec<InstanceId> = world.fleet.machines().into_iter().map(|seen| seen.id).collect();
    if world.crew.queued() > 0
        && let Some(instance) = dice.pick(&all).filter(alive)
    {
        world.crew.claim(&instance);
    }
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut world = World::new();
        world.slots = if dice.chance(30) { 2 } else { 1 };
        world.policy.slots_per_instance = world.slots;
        world.policy.idle_delay_ms = min(dice.roll(4));
        world.fleet.change(|group| (group.min, group.max) = (0, 12));
        if dice.chance(25) {
            world.fleet.set_hook(None);
            world.hooked = false;
        }
        world.fleet.protect_new(dice.chance(80));
        Self { seed, dice, world, log: Arc::default(), asked: 0, ran: 0 }
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.log.lock().expect("a lock"), "{what}");
    }

    /// Nothing busy ended; whoever is gone is heard of no more.
    fn check(&self) {
        let busy = self.world.busy_deaths();
        if !busy.is_empty() {
            let log = self.log.lock().expect("a lock");
            panic!("SIM_SEED={}\n{log}{busy:?}", self.seed);
        }
        // The weather took these with their machines: they come again.
        let lost = self.world.bury();
        self.world.crew.queue(self.world.crew.queued() + lost);
    }

    /// Claims fall between calls; a death may.
    fn arm(&mut self, deaths: bool) {
        let mut dice = Dice(self.dice.roll(u64::MAX));
        let (world, log) = (self.world.clone(), self.log.clone());
        let begun = self.world.faults.calls();
        let dies_at = (deaths && dice.chance(30)).then(|| begun + dice.roll(25) + 1);
        self.world.faults.replan(move |n, name| {
            let _ = writeln!(log.lock().expect("a lock"), "    {name}");
            if dice.chance(25) {
                claim(&world, &mut dice);
            }
            let kinds = [Strike::CrashBefore, Strike::CrashAfter, Strike::Before, Strike::After];
            let strike = (Some(n) == dies_at).then(|| dice.pick(&kinds)).flatten();
            if let Some(strike) = strike {
                let _ = writeln!(log.lock().expect("a lock"), "      {strike:?}");
            }
            strike
        });
    }

    fn life(&mut self, arrivals: bool) {
        if arrivals && self.dice.chance(20) {
            let runs = 1 + u32::try_from(self.dice.roll(6)).expect("small");
            self.asked += u64::from(runs);
            self.world.crew.queue(self.world.crew.queued() + runs);
            self.say(format_args!("  {runs} runs are queued"));
        }
        for _ in 0..4 {
            claim(&self.world, &mut self.dice);
        }
        for seen in self.world.fleet.machines() {
            if self.world.crew.busy(&seen.id) > 0 && self.dice.chance(25) {
                self.world.crew.finish(&seen.id);
                self.ran += 1;
                self.say(format_args!("  a run ends on {}", seen.id));
            }
        }
    }

    fn trouble(&mut self) {
        let Some(machine) = self.dice.pick(&self.world.fleet.in_service()) else { return };
        let fleet = &self.world.fleet;
        match self.dice.roll(40) {
            0 => fleet.refresh(&machine),
            1 => fleet.lose(&machine),
            2 => fleet.warn(&machine, Notice::Rebalance),
            3 => {
                let to = u32::try_from(self.dice.roll(10)).expect("small");
                fleet.change(|group| group.desired = to);
                self.say(format_args!("  somebody sets the size to {to}"));
            }
            4 => {
                fleet.stray(true);
            }
            5 => {
                let up = u32::try_from(self.dice.roll(3)).expect("small");
                fleet.change(|group| group.min = up);
            }
            6 if self.world.crew.busy(&machine) == 0 => self.world.crew.silence(&machine),
            _ => return,
        }
        self.say(format_args!("  trouble around {machine}"));
    }

    async fn functions(&mut self, deaths: bool) {
        self.arm(deaths);
        let _ = self.world.try_tick().await;
        self.check();
        self.arm(deaths);
        let _ = self.world.drains().await;
        self.check();
        let messages: Vec<String> =
            self.world.fleet.machines().iter().filter_map(|m| self.world.message(&m.id)).collect();
        for message in messages {
            // Lost, once, or twice.
            for _ in 0..self.dice.roll(3) {
                self.arm(deaths);
                self.world.deliver(&message).await;
                self.check();
            }
        }
        self.world.faults.revive();
    }

    async fn minute(&mut self, trouble: bool) {
        self.say(format_args!("{}", self.world.now().rfc3339()));
        self.life(trouble);
        if trouble {
            self.trouble();
        }
        // New machines need a minute or two until their worker registers.
        self.world.fleet.settle();
        self.check();
        for seen in self.world.fleet.machines() {
            let up = self.world.now().since_ms(seen.launched_at) >= 90 * SECOND_MS;
            if up && seen.place == Place::InService && self.dice.chance(95) {
                self.world.crew.register(&seen.id, self.world.slots);
            }
        }
        // Two whole minutes without a drainer are longer than a hook waits for the next heartbeat.
        self.functions(trouble && self.world.now().minute().is_multiple_of(2)).await;
        self.world.pass(min(1));
    }
}

async fn one(seed: u64, minutes: u64) {
    let mut sim = Sim::new(seed);
    for _ in 0..minutes {
        sim.minute(true).await;
    }
    sim.world.fleet.change(|group| group.min = 0);
    for _ in 0..120 {
        sim.minute(false).await;
    }
    let (world, log) = (&sim.world, sim.log.lock().expect("a lock").clone());
    let story =
        || format!("SIM_SEED={seed}\n{log}{:?}\n{}", world.fleet.machines(), world.crew.queued());
    let waiting = world.fleet.machines().iter().filter(|m| world.message(&m.id).is_some()).count();
    assert_eq!(waiting, 0, "a hook is not completed\n{}", story());
    assert!(sim.asked > 0 && sim.ran > 0, "nothing happened\n{}", story());
    let left = world.fleet.machines().iter().filter(|m| m.place != Place::Terminated).count();
    assert_eq!((world.crew.queued(), left, world.desired()), (0, 0, 0), "{}", story());
    assert_eq!(world.ledger().await.holder, None, "{}", story());
}

#[tokio::test]
async fn nothing_busy_is_ended_and_every_hook_completes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let minutes = number("SIM_STEPS").unwrap_or(MINUTES);
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    for seed in seeds {
        eprintln!("SIM_SEED={seed}");
        one(seed, minutes).await;
    }
}
