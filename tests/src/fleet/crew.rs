//! Workers of Spacelift's on a group's machines: they register when a machine is up, have runs, and
//! are forgotten some time after their machine went.
//!
//! Every run is kept with its machine and its times, so that it can be said afterwards of each
//! machine that went whether it had one: [`Crew::busy_kills`].
use super::group::Group;
use crate::cloud::runtime::lock;
use spacelift_server::{Pool, SpaceliftServer, Worker, now_s};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Spacelift lists a worker for a while after its machine went: for so many turns.
const LISTED_TURNS: u32 = 2;

pub struct Crew {
    pub server: SpaceliftServer,
    group: Arc<Group>,
    /// Workers on each machine.
    each: u32,
    machines: Mutex<Machines>,
    /// Locked last, also inside of the server's pool.
    runs: Arc<Mutex<Vec<Run>>>,
}

#[derive(Default)]
struct Machines {
    /// Machines whose workers came.
    registered: BTreeSet<String>,
    /// Machines whose workers never come.
    mute: BTreeSet<String>,
    /// Machines that went, and for how many turns their workers are still listed.
    listed: BTreeMap<String, u32>,
}

/// One run, in seconds since 1970.
#[derive(Clone, Debug)]
pub struct Run {
    pub worker: String,
    pub instance: String,
    pub from: f64,
    pub to: Option<f64>,
}

impl Crew {
    pub fn new(server: SpaceliftServer, group: Arc<Group>, each: u32) -> Self {
        let (machines, runs) = Default::default();
        Self { server, group, each, machines, runs }
    }

    /// The worker that is the n-th on a machine, from 0.
    pub fn id(instance: &str, n: u32) -> String {
        format!("{instance}:{n}")
    }

    /// No worker comes on these machines.
    pub fn mute(&self, instances: &[String]) {
        lock(&self.machines).mute.extend(instances.iter().cloned());
    }

    /// So many more runs wait.
    pub fn queue(&self, runs: i64) {
        self.server.pool(|pool| pool.pending += runs);
    }

    /// What Spacelift and the machines do of themselves: workers come and are forgotten, and runs
    /// that wait go to whoever came last.
    pub fn turn(&self) {
        let mut machines = lock(&self.machines);
        for instance in self.group.gone() {
            machines.listed.entry(instance).or_insert(LISTED_TURNS);
        }
        for (instance, turns) in &mut machines.listed {
            match turns {
                0 => {}
                1 => {
                    self.server.pool(|pool| pool.workers.retain(|w| !is_on(w, instance)));
                    *turns = 0;
                }
                _ => *turns -= 1,
            }
        }
        for instance in self.group.at("InService") {
            if !machines.mute.contains(&instance) && machines.registered.insert(instance.clone()) {
                self.register(&instance);
            }
        }
        self.assign(&machines);
    }

    fn register(&self, instance: &str) {
        let group = &self.group.name;
        self.server.pool(|pool| {
            for n in 0..self.each {
                let mut worker = Worker::on(&Self::id(instance, n), instance, group);
                (worker.created_at, worker.available_at) = (now_s(), Some(now_s()));
                pool.workers.push(worker);
            }
        });
    }

    fn assign(&self, machines: &Machines) {
        self.server.pool(|pool| {
            let mut free: Vec<_> = pool.workers.iter().filter(|w| !w.busy && !w.drained).collect();
            free.retain(|w| machines.registered.contains(&instance(w)));
            free.sort_by_key(|w| std::cmp::Reverse(w.created_at));
            let waiting = usize::try_from(pool.pending).unwrap_or(0);
            let chosen: Vec<_> = free.iter().take(waiting).map(|w| w.id.clone()).collect();
            for worker in chosen {
                begin(&self.runs, pool, &worker);
                pool.pending -= 1;
            }
        });
    }

    /// Just before the next drain is carried out this worker takes a run: Spacelift was faster.
    pub fn run_before_the_next_drain(&self, worker: &str) {
        let (runs, worker) = (self.runs.clone(), worker.to_owned());
        self.server.before("workerDrainSet", move |pool| begin(&runs, pool, &worker));
    }

    /// Workers with a run, in the order of their runs.
    pub fn busy(&self) -> Vec<String> {
        self.open(|run| run.worker.clone())
    }

    /// Machines with a run.
    pub fn busy_machines(&self) -> BTreeSet<String> {
        self.open(|run| run.instance.clone())
    }

    fn open<T, All: FromIterator<T>>(&self, of: impl Fn(&Run) -> T) -> All {
        lock(&self.runs).iter().filter(|run| run.to.is_none()).map(of).collect()
    }

    /// Runs that were begun so far.
    pub fn begun(&self) -> usize {
        lock(&self.runs).len()
    }

    /// This worker's run ends.
    pub fn finish(&self, worker: &str) {
        self.server.pool(|pool| {
            let mut runs = lock(&self.runs);
            let its = runs.iter_mut().find(|run| run.to.is_none() && run.worker == worker);
            if let Some(run) = its {
                run.to = Some(now());
                pool.finish(worker);
            }
        });
    }

    pub fn finish_all(&self) {
        for worker in self.busy() {
            self.finish(&worker);
        }
    }

    /// Runs whose machine went meanwhile, whoever ended it.
    pub fn busy_kills(&self) -> Vec<Run> {
        let mut kills = Vec::new();
        let ends = self.group.ends();
        let runs = lock(&self.runs);
        for end in ends {
            let at = end.clock_at;
            let there = runs.iter().filter(|run| run.instance == end.instance);
            kills.extend(there.filter(|r| r.from <= at && r.to.is_none_or(|to| at < to)).cloned());
        }
        kills
    }
}

fn begin(runs: &Mutex<Vec<Run>>, pool: &mut Pool, worker: &str) {
    let instance = pool.worker(worker).map(instance).expect("the worker is there");
    let from = now();
    assert!(pool.run(worker), "{worker} is free");
    lock(runs).push(Run { worker: worker.to_owned(), instance, from, to: None });
}

fn is_on(worker: &Worker, machine: &str) -> bool {
    instance(worker) == machine
}

/// The machine that a worker of ours is on, by its id: what its metadata says a story may change.
fn instance(worker: &Worker) -> String {
    let (instance, _) = worker.id.split_once(':').unwrap_or_default();
    instance.to_owned()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
