//! A seeded simulation: a random graph of stacks, people and pushes at random, workers that die or
//! pause anywhere, messages that come twice or late, calls that fail before or after their effect,
//! a server that crashes, clocks that jump. In every other world nobody watches the repository: all
//! that is known of it comes by deliveries, late and in any order. The invariants are checked after every step; at the end
//! everything is healed and must come to rest.
//!
//! `SIM_SEED=n` runs one seed, `SIM_STEPS=n` that many steps of each.
use crate::dice::Dice;
use crate::invariants::Watch;
use crate::world::{Sent, Tool, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use windlass_core::event::Command;
use windlass_core::id::RunId;
use windlass_core::keys;
use windlass_core::run::{RunType, State};
use windlass_core::time::UnixMs;
use windlass_ports::fake::{Faults, Strike};
use windlass_ports::{Clock, Delivery};

const SEEDS: u64 = 12;
const STEPS: u64 = 250;
/// Longer than this no tool runs: its worker's own limit ends it.
const TOOL_MS: u64 = 20 * 60_000;

/// One stack as the definitions say it now.
struct Declared {
    autodeploy: bool,
    /// Earlier stacks that it runs after, and whether by an output or by a plain edge.
    parents: BTreeMap<usize, bool>,
}

struct Sim {
    seed: u64,
    dice: Dice,
    world: World,
    watch: Watch,
    stacks: Vec<Declared>,
    /// Received by handlers that fell asleep.
    asleep: Vec<(String, Delivery)>,
    paused: BTreeSet<String>,
    workers: u64,
    pushes: u64,
    /// Pushes that the repository accepted, by their place in its history.
    accepted: BTreeSet<u64>,
    /// Deliveries that are all that is heard of pushes; None: the repository is watched.
    sent: Option<Vec<Sent>>,
    /// Deliveries that are late, or that somebody will send again.
    late: Vec<Sent>,
    log: Vec<String>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut stacks = Vec::new();
        for n in 0..3 + usize::try_from(dice.roll(4)).expect("small") {
            let parents = (0..n).filter(|_| dice.chance(35)).collect::<Vec<_>>();
            let parents = parents.into_iter().map(|p| (p, dice.chance(50))).collect();
            stacks.push(Declared { autodeploy: dice.chance(70), parents });
        }
        let mut world = World::new();
        world.crew.clear();
        for n in 0..stacks.len() {
            let outputs = BTreeMap::from([("x".to_owned(), "0".to_owned())]);
            world.tools.insert(slug(n).into(), Tool { outputs, ..Tool::default() });
        }
        let (watch, asleep, paused) = (Watch::default(), Vec::new(), BTreeSet::new());
        let (workers, pushes, accepted, log) = (0, 0, BTreeSet::new(), Vec::new());
        let (sent, late) = (seed.is_multiple_of(2).then(Vec::new), Vec::new());
        Sim {
            seed,
            dice,
            world,
            watch,
            stacks,
            asleep,
            paused,
            workers,
            pushes,
            accepted,
            sent,
            late,
            log,
        }
    }

    fn definitions(&self) -> String {
        let mut text = "version: 1\nstacks:\n".to_owned();
        for (n, stack) in self.stacks.iter().enumerate() {
            let (name, auto) = (slug(n), stack.autodeploy);
            let _ = write!(text, "  - {{ name: {name}, project_root: stacks/{name}, ");
            let _ = write!(text, "autodeploy: {auto}, depends_on: [");
            for (place, (parent, by_output)) in stack.parents.iter().enumerate() {
                let comma = if place > 0 { ", " } else { "" };
                let _ = write!(text, "{comma}{{ stack: {}", slug(*parent));
                if *by_output {
                    let input = format!("TF_VAR_{}", slug(*parent));
                    let _ = write!(text, ", references: [{{ output: x, input: {input} }}]");
                }
                text += " }";
            }
            text += "] }\n";
        }
        text
    }

    async fn run(&mut self, steps: u64) {
        let (definitions, n) = (self.definitions(), self.stacks.len());
        let names: Vec<String> = (0..n).map(slug).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.world.define(&definitions, &names).await;
        for step in 0..steps {
            let what = self.step().await;
            self.log.push(format!("{step:4} {what}"));
            self.look().await;
        }
        self.heal().await;
    }

    async fn look(&mut self) {
        let broken = self.watch.check(&self.world).await;
        self.must_hold(&broken);
        if let Some(repo) = &self.watch.repo {
            self.accepted.extend(repo.branches.values().map(|branch| branch.seq));
        }
    }

    fn must_hold(&self, broken: &[String]) {
        if !broken.is_empty() {
            let story: Vec<&String> = self.log.iter().rev().take(40).rev().collect();
            panic!("SIM_SEED={}: {broken:#?}\nafter {story:#?}", self.seed);
        }
    }

    async fn step(&mut self) -> String {
        if self.world.faults.crashed() && self.dice.chance(30) {
            self.world.restart().await;
            return "the server is back".to_owned();
        }
        match self.dice.roll(100) {
            0..45 => format!("served: {}", self.world.serve().await),
            45..74 => self.work().await,
            74..80 => self.person().await,
            80..85 => self.push().await,
            85..88 => self.weather(),
            88..91 if self.dice.chance(25) => self.drain().await,
            88..91 => self.kill(),
            91..94 => self.late_message().await,
            _ => self.time().await,
        }
    }

    async fn work(&mut self) -> String {
        let mut alive: Vec<String> = self.world.workers.keys().cloned().collect();
        if alive.len() < 3 && (alive.is_empty() || self.dice.chance(5)) {
            self.workers += 1;
            alive.push(format!("w{}", self.workers));
        }
        let worker = self.dice.pick(&alive).expect("one").clone();
        if self.paused.contains(&worker) && !self.dice.chance(10) {
            return format!("{worker} is paused");
        }
        self.paused.remove(&worker);
        if self.dice.chance(4) {
            self.paused.insert(worker.clone());
        }
        let steps = 1 + self.dice.roll(6);
        for _ in 0..steps {
            self.world.work_step(&worker).await;
        }
        format!("{worker} works: {:?}", self.world.worker(&worker).stage().map(short))
    }

    /// Somebody asks something of a run or a stack.
    async fn person(&mut self) -> String {
        let stack = slug(self.some_stack());
        let runs: Vec<RunId> = self
            .watch
            .runs
            .values()
            .filter(|run| run.stack.as_str() == stack)
            .map(|run| run.id().clone())
            .collect();
        let head = self.world.head(&stack).await;
        let waiting = head.active.as_ref().and_then(|run| match &run.state {
            State::Unconfirmed { planned } => {
                let (digest, version) = (planned.plan.digest.clone(), run.version);
                Some(Command::Confirm { run: run.id().clone(), digest, version })
            }
            _ => None,
        });
        if let Some(confirm) = waiting.filter(|_| self.dice.chance(60)) {
            self.world.command(&stack, confirm).await;
            return format!("confirm on {stack}");
        }
        let newest = runs.last().filter(|_| self.dice.chance(70)).cloned();
        let Some(run) = newest.or_else(|| self.dice.pick(&runs).cloned()) else {
            return "nobody asks".to_owned();
        };
        let note = None;
        let command = match self.dice.roll(8) {
            0 => Command::Cancel { run, note },
            1 => Command::Discard { run, note },
            2 => Command::Stop { run, note },
            3 | 4 => Command::Retry { run },
            5 => Command::Lock { note, until: Some(self.world.now().plus_ms(180_000)) },
            6 => Command::Prioritize { run, on: true },
            _ => {
                let kinds = [RunType::Tracked, RunType::Tracked, RunType::Destroy];
                let kind = *self.dice.pick(&kinds).expect("one");
                self.world.trigger(&stack, kind).await;
                return format!("trigger {} on {stack}", kind.as_str());
            }
        };
        let label = command.label();
        self.world.command(&stack, command).await;
        format!("{label} on {stack}")
    }

    async fn push(&mut self) -> String {
        self.pushes += 1;
        let text = format!("# {}", self.pushes);
        let mut files = BTreeMap::new();
        for _ in 0..=self.dice.roll(2) {
            let n = self.some_stack();
            files.insert(format!("stacks/{}/main.tf", slug(n)), text.clone());
            if let Some(tool) = self.world.tools.get_mut(&slug(n).as_str().into()) {
                let fails = self.dice.chance(15).then(|| "broken".to_owned());
                let (plan, apply) =
                    if self.dice.chance(50) { (fails, None) } else { (None, fails) };
                (tool.plan_fails, tool.apply_fails) = (plan, apply);
                if self.dice.chance(50) {
                    tool.outputs.insert("x".to_owned(), text.clone());
                }
                tool.no_changes = self.dice.chance(10);
            }
        }
        let branch = if self.dice.chance(15) { "feature" } else { "main" };
        if branch == "main" && self.dice.chance(15) {
            self.edit();
            files.insert("windlass.yaml".to_owned(), self.definitions());
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        let how = match &self.sent {
            None => {
                self.world.push(branch, &files).await;
                "looked at".to_owned()
            }
            Some(_) if branch == "feature" && self.dice.chance(30) => {
                match self.world.delete(branch).await {
                    Some(sent) => self.deliver(sent).await,
                    None => "no such branch".to_owned(),
                }
            }
            Some(_) => {
                let sent = self.world.commit_of(branch, &files).await;
                self.deliver(sent).await
            }
        };
        format!(
            "{how}: push to {branch}: {}",
            files.iter().map(|(p, _)| *p).collect::<Vec<_>>().join(" ")
        )
    }

    /// The forge tells of a push, or does so later, behind others.
    async fn deliver(&mut self, sent: Sent) -> String {
        let mut told = Vec::new();
        let mut queue = vec![sent];
        if self.dice.chance(50) {
            queue.append(&mut self.late);
        }
        for sent in queue {
            if self.dice.chance(25) {
                told.push("late");
                self.late.push(sent);
                continue;
            }
            let taken = self.world.hook(&sent).await.is_ok();
            // Whoever sees that it failed sends it again; some do although it was kept.
            if !taken && (!self.world.is_kept(&sent) || self.dice.chance(30)) {
                self.late.push(sent.clone());
            }
            told.push(if taken { "taken" } else { "failed" });
            self.sent.iter_mut().for_each(|all| all.push(sent.clone()));
        }
        told.join(" ")
    }

    /// What the repository's watcher sees, if there is one.
    async fn watched(&mut self) -> Option<usize> {
        match self.sent {
            None => self.world.observe().await.ok(),
            Some(_) => Some(0),
        }
    }

    /// The definitions change: an edge, a switch, or one more stack.
    fn edit(&mut self) {
        let n = self.some_stack();
        match self.dice.roll(3) {
            0 => self.stacks[n].autodeploy ^= true,
            1 if n > 0 => {
                let parent = usize::try_from(self.dice.roll(n as u64)).expect("small");
                if self.stacks[n].parents.remove(&parent).is_none() {
                    self.stacks[n].parents.insert(parent, false);
                }
            }
            _ if self.stacks.len() < 8 => {
                let parents = BTreeMap::from([(n, false)]);
                self.stacks.push(Declared { autodeploy: true, parents });
            }
            _ => {}
        }
    }

    /// Calls fail from now on, or no more; or the server crashes at one of its next calls.
    fn weather(&mut self) -> String {
        let crash = self.dice.chance(40);
        let faults: Faults = match self.world.workers.values().next() {
            Some(worker) if !crash && self.dice.chance(40) => worker.faults.clone(),
            _ => self.world.faults.clone(),
        };
        if faults.crashed() {
            return "it is down already".to_owned();
        }
        if crash {
            let at = faults.calls() + 1 + self.dice.roll(30);
            let kinds = [Strike::CrashBefore, Strike::CrashAfter];
            let strike = *self.dice.pick(&kinds).expect("one");
            faults.replan(move |n, _| (n == at).then_some(strike));
            return format!("the server will crash at call {at}");
        }
        let (mut dice, percent) = (self.dice.clone(), self.dice.roll(12));
        faults.replan(move |_, _| {
            let kinds = [Strike::Before, Strike::After, Strike::Repeated];
            dice.chance(percent).then(|| *dice.pick(&kinds).expect("one"))
        });
        format!("{percent} % of calls fail")
    }

    fn kill(&mut self) -> String {
        let orphans = self.world.running.iter().filter(|tool| !self.alive(&tool.worker));
        let orphans: Vec<_> = orphans.map(|tool| tool.claim.clone()).collect();
        if let Some(claim) = self.dice.pick(&orphans).cloned() {
            self.world.end_tool(&claim);
            return "an orphaned tool ends".to_owned();
        }
        let alive: Vec<String> = self.world.workers.keys().cloned().collect();
        let Some(worker) = self.dice.pick(&alive).cloned() else {
            return "nobody to kill".to_owned();
        };
        let tool = self.dice.chance(60);
        self.world.kill(&worker, tool);
        format!("kill -9 {worker}, its tool: {tool}")
    }

    /// An operator drains a worker, or takes that back.
    async fn drain(&mut self) -> String {
        let workers: Vec<String> = self.world.workers.keys().cloned().collect();
        let Some(worker) = self.dice.pick(&workers).cloned() else {
            return "nobody to drain".to_owned();
        };
        let on = self.dice.chance(60);
        self.world.drain(&worker, on).await;
        format!("drain {worker}: {on}")
    }

    fn alive(&self, worker: &str) -> bool {
        self.world.workers.contains_key(worker)
    }

    /// A handler falls asleep with a message, or wakes long after others had it; or everything in
    /// flight comes again.
    async fn late_message(&mut self) -> String {
        if self.world.faults.crashed() {
            return "the server is down".to_owned();
        }
        let queues = [keys::INTENTS, keys::REPORTS];
        let queue = *self.dice.pick(&queues).expect("one");
        match self.dice.roll(3) {
            0 => match self.world.receive(queue).await {
                Some(delivery) => {
                    self.asleep.push((queue.to_owned(), delivery));
                    format!("a handler sleeps with a message of {queue}")
                }
                None => "nothing to sleep with".to_owned(),
            },
            1 if !self.asleep.is_empty() => {
                let (queue, delivery) = self.asleep.remove(0);
                let fate = self.world.decide(&queue, &delivery).await;
                self.world.settle_delivery(&queue, &delivery, fate).await;
                format!("a handler wakes: {fate:?}")
            }
            _ => {
                self.world.queues.release_all();
                "what is in flight comes again".to_owned()
            }
        }
    }

    async fn time(&mut self) -> String {
        if self.dice.chance(10) {
            let off = self.world.wall.now().0.abs_diff(self.world.clock.now().0);
            let ms = self.dice.roll(300_000);
            let back = off > 600_000 || self.dice.chance(50);
            let now = self.world.clock.now().0;
            self.world.wall.set(UnixMs(if back { now - ms } else { now + ms }));
            return format!("the wall clock jumps, back: {back}");
        }
        let ms = 1_000 + self.dice.roll(90_000);
        self.world.advance(ms);
        for worker in self.world.workers.keys().cloned().collect::<Vec<_>>() {
            if !self.paused.contains(&worker) {
                self.world.renew(&worker).await;
            }
        }
        self.end_long_tools();
        let ticked = match self.world.faults.crashed() {
            true => "no server".to_owned(),
            false => format!("{:?}", scheduler::tick(&self.world.deps).await.ok()),
        };
        let _ = self.watched().await;
        format!("{ms} ms pass: {ticked}")
    }

    fn end_long_tools(&mut self) {
        let now = self.world.clock.now();
        let long = self.world.running.iter().filter(|tool| now.since_ms(tool.since) > TOOL_MS);
        let long: Vec<_> = long.map(|tool| (tool.claim.clone(), tool.worker.clone())).collect();
        for (claim, worker) in long {
            // A machine that slept so long is not coming back.
            self.world.kill(&worker, true);
            self.world.end_tool(&claim);
        }
    }

    fn some_stack(&mut self) -> usize {
        usize::try_from(self.dice.roll(self.stacks.len() as u64)).expect("small")
    }

    /// Nothing fails any more, everybody works, orphans end: everything must come to rest.
    async fn heal(&mut self) {
        self.log.push("healed".to_owned());
        for (_, worker) in &self.world.workers {
            worker.faults.revive();
        }
        self.world.restart().await;
        self.world.wall.set(self.world.clock.now());
        let orphans = self.world.running.iter().filter(|tool| !self.alive(&tool.worker));
        for claim in orphans.map(|tool| tool.claim.clone()).collect::<Vec<_>>() {
            self.world.end_tool(&claim);
        }
        self.world.crew = self.world.workers.keys().cloned().collect();
        for worker in self.world.crew.clone() {
            self.world.drain(&worker, false).await;
        }
        self.world.crew.push("last".to_owned());
        for sent in std::mem::take(&mut self.late) {
            self.world.hook(&sent).await.expect("taken");
            self.sent.iter_mut().for_each(|all| all.push(sent.clone()));
        }
        let mut broken = Vec::new();
        for _ in 0..100 {
            let told = self.watched().await.expect("observed") + self.world.bodies().len();
            for _ in 0..5_000 {
                if !self.world.step().await {
                    break;
                }
                self.look().await;
            }
            let asked = self.agree().await;
            broken = self.watch.at_rest(&self.world).await;
            if told == 0 && !asked && broken.is_empty() && self.world.queues.busy().is_empty() {
                break;
            }
            self.world.advance(60_000);
            scheduler::tick(&self.world.deps).await.expect("a healthy tick");
        }
        self.must_hold(&broken);
        for sent in self.sent.iter().flatten() {
            let (became, seed) = (self.world.became(sent).await, self.seed);
            assert!(["routed", "known"].contains(&became), "SIM_SEED={seed}: {sent:?} {became}");
        }
        assert_eq!(self.world.bodies(), [""; 0], "SIM_SEED={}", self.seed);
        assert_eq!(self.world.queues.busy(), [""; 0], "SIM_SEED={}", self.seed);
        let routed: BTreeSet<u64> =
            self.watch.rollouts.values().map(|rollout| rollout.commit.seq).collect();
        let lost: Vec<_> = self.accepted.difference(&routed).collect();
        assert!(lost.is_empty(), "SIM_SEED={}: pushes {lost:?} were not routed", self.seed);
    }

    /// A person agrees to definitions that wait.
    async fn agree(&mut self) -> bool {
        let head = self.world.head("infra-definitions").await;
        let waits = head.active.is_some_and(|run| run.state.name().waits_for_person());
        if waits {
            self.world.confirm("infra-definitions").await;
        }
        waits
    }
}

fn slug(n: usize) -> String {
    format!("s{n}")
}

fn short(stage: &crate::world::Stage) -> String {
    let text = format!("{stage:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn random_worlds_keep_the_invariants() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps = number("SIM_STEPS").unwrap_or(STEPS);
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=SEEDS,
    };
    for seed in seeds {
        println!("SIM_SEED={seed} SIM_STEPS={steps}");
        Sim::new(seed).run(steps).await;
    }
}

/// The same seed makes the same world: what a log names can be looked at again.
#[tokio::test]
async fn a_seed_makes_one_world() {
    let mut logs = Vec::new();
    for _ in 0..2 {
        let mut sim = Sim::new(7);
        sim.run(60).await;
        logs.push((sim.log, sim.world.applied));
    }
    assert_eq!(logs[0], logs[1]);
}
