//! Our module for a pool of Spacelift's: who has a run is that server's word, and the rest is as it is
//! with workers of our own: machines end through their hook, and it holds whoever is busy.
use e2e::cloud::{Cloud, iam};
use e2e::fleet::{Crew, Dice, Group, pool};
use e2e::{LONG, until};
use emulator::{Emulator, Hook, Why};
use serde_json::json;
use spacelift_server::{KEY_ID, KEY_SECRET, Options, POOL, SpaceliftServer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

const PARAMETER: &str = "/windlass/spacelift-api-secret";
/// So often Spacelift looks whom it can give a run.
const TURN: Duration = Duration::from_millis(20);
const MAX: u32 = 8;
const MINUTE_MS: u64 = 60_000;
/// Of the chaos below, unless `FLEET_ROUNDS` says how many.
const ROUNDS: u64 = 12;
/// A tick takes less, so a death after it meets any call of one, or none.
const TICK_MS: u64 = 400;

struct Yard {
    cloud: Cloud,
    group: Arc<Group>,
    crew: Arc<Crew>,
    over: Arc<AtomicBool>,
    turns: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Yard {
    /// Deployed, and started but for the ticks.
    #[track_caller]
    fn open() -> Self {
        let emulator = Emulator::alone().expect("an AWS API server");
        let secret = json!({ "Name": PARAMETER, "Value": KEY_SECRET, "Type": "SecureString" });
        let kept = emulator.json("operator", "ssm", "AmazonSSM.PutParameter", &secret);
        kept.expect("the secret is kept");
        let options = Options { tls: true, ..Options::default() };
        let server = SpaceliftServer::start_as(&options);
        let policy = json!({ "idle_delay_ms": 1_000 });
        let parameters = vec![
            ("Kind", "spacelift".to_owned()),
            ("WorkerPoolId", POOL.to_owned()),
            ("MaxSize", MAX.to_string()),
            ("SecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:pool".to_owned()),
            ("ApiKeyEndpoint", server.url().to_owned()),
            ("ApiKeyId", KEY_ID.to_owned()),
            ("ApiKeySecretName", PARAMETER.to_owned()),
            ("CaBundle", server.authority().expect("it speaks TLS").to_owned()),
            ("FleetPolicy", policy.to_string()),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let cloud = pool::deployed(&emulator, &folder.path().join("fleet"), parameters);
        let name = cloud.stack.groups[0].name.clone();
        let group = Arc::new(Group { emulator, name });
        let crew = Arc::new(Crew::new(server, group.clone(), 1));
        let over = Arc::new(AtomicBool::new(false));
        let (turned, end) = (crew.clone(), over.clone());
        let turns = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                turned.turn();
                std::thread::sleep(TURN);
            }
        });
        Self { cloud, group, crew, over, turns: Some(turns), _folder: folder }
    }

    /// With so many machines, each of which has a run.
    #[track_caller]
    fn busy(runs: usize) -> Self {
        let yard = Self::open();
        yard.crew.queue(i64::try_from(runs).expect("a few"));
        yard.cloud.start();
        until("each run to have a machine", LONG, || {
            let busy = yard.crew.busy_machines().len();
            if busy == runs { Ok(()) } else { Err(format!("{busy}; {:?}", yard.group.standing())) }
        });
        yard
    }

    /// A minute passes for whoever holds the ledger: ticks come thirty times as fast as on AWS.
    fn lapse_the_hold(&self) {
        let (emulator, bucket) = (&self.group.emulator, self.cloud.bucket());
        let ledger = format!("fleet/{POOL}/ledger.json");
        emulator.make_older(bucket, &ledger, MINUTE_MS).expect("the API server answers");
    }

    #[track_caller]
    fn empties(&self) {
        until("the pool to be empty", LONG, || {
            let standing = self.group.standing();
            match standing.instances.is_empty() && standing.desired == 0 {
                true => Ok(()),
                false => Err(format!("{standing:?}")),
            }
        });
    }

    /// No machine went with a run, every hook was completed, nothing was asked that no statement
    /// allows, and the key's secret is in no log.
    #[track_caller]
    fn prove(&self) {
        let kills = self.crew.busy_kills();
        assert!(kills.is_empty(), "machines that were ended with a run: {kills:#?}");
        let ends = self.group.ends();
        let lapsed: Vec<_> = ends.iter().filter(|end| end.hook != Hook::Completed).collect();
        assert!(lapsed.is_empty(), "hooks that nobody completed: {lapsed:#?}");
        assert_eq!(self.group.at("Terminating:Wait"), Vec::<String>::new(), "hooks that wait");
        let said = self.said();
        assert!(!said.contains("a busy machine was ended by us"), "a busy kill was counted");
        for secret in self.crew.server.tokens_ever().iter().map(String::as_str).chain([KEY_SECRET])
        {
            assert!(!said.contains(secret), "a secret is in the logs");
        }
        let calls = self.group.emulator.calls().expect("the API server answers");
        let used = iam::used_by_pool(&calls, &self.cloud.stack, [iam::ANY_POOL, iam::ANY_STACK]);
        let missing = iam::missing(&iam::roles(&self.cloud.stack), &used);
        assert!(missing.is_empty(), "no statement of infra/worker-pool.yaml allows {missing:#?}");
    }

    fn said(&self) -> String {
        let logs = self.cloud.lambda.logs();
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.cloud.stop(true);
        self.over.store(true, Ordering::Relaxed);
        if let Some(turns) = self.turns.take() {
            let _ = turns.join();
        }
        if std::thread::panicking() {
            eprintln!("{}{:#?}\n{:#?}", self.said(), self.group.standing(), self.group.ends());
        }
    }
}

#[test]
fn machines_come_for_runs_and_idle_ones_go_through_their_hook() {
    let yard = Yard::busy(3);
    let (first, rest) = {
        let busy = yard.crew.busy();
        (busy[0].clone(), busy[1..].to_vec())
    };
    rest.iter().for_each(|worker| yard.crew.finish(worker));
    until("two machines to go", LONG, || {
        let gone = yard.group.gone().len();
        if gone == 2 { Ok(()) } else { Err(format!("{gone} went")) }
    });
    assert_eq!(yard.crew.busy(), [first.as_str()], "it is still at work");
    yard.crew.finish(&first);
    yard.empties();
    for end in yard.group.ends() {
        assert_eq!((end.why, end.hook), (Why::User, Hook::Completed), "{end:?}");
    }
    yard.prove();
}

#[test]
fn a_refresh_waits_for_each_run() {
    let yard = Yard::busy(3);
    let old = yard.crew.busy();
    yard.group.did(
        "StartInstanceRefresh",
        &[
            ("Preferences.MinHealthyPercentage", "0"),
            ("Preferences.ScaleInProtectedInstances", "Refresh"),
        ],
    );
    until("all three to wait", LONG, || {
        let waiting = yard.group.at("Terminating:Wait").len();
        if waiting == old.len() { Ok(()) } else { Err(format!("{waiting} wait")) }
    });
    // New machines come, are idle and go meanwhile.
    for worker in &old {
        assert!(!gone(&yard, worker), "nobody goes with a run");
        until("its worker to take no more runs", LONG, || {
            let known = yard.crew.server.worker(worker).expect("it is listed");
            if known.drained { Ok(()) } else { Err(format!("{known:?}")) }
        });
        yard.crew.finish(worker);
        until("its machine to go", LONG, || {
            if gone(&yard, worker) { Ok(()) } else { Err(format!("{:?} went", yard.group.gone())) }
        });
    }
    yard.empties();
    yard.prove();
}

fn gone(yard: &Yard, worker: &str) -> bool {
    yard.group.gone().iter().any(|machine| Crew::id(machine, 0) == worker)
}

/// The seed is printed; `FLEET_SEED` makes the same choices again, `FLEET_ROUNDS` makes it longer.
#[test]
fn functions_that_die_at_any_moment_end_no_machine_with_a_run() {
    let mut dice = Dice::of("FLEET_SEED");
    let rounds = std::env::var("FLEET_ROUNDS").ok().and_then(|text| text.parse().ok());
    let yard = Yard::busy(2);
    for _ in 0..rounds.unwrap_or(ROUNDS) {
        yard.crew.queue(i64::try_from(dice.below(4)).unwrap_or(0));
        let function = ["Autoscaler", "Drainer"][usize::from(dice.below(2) == 0)];
        let soon = Duration::from_millis(1 + dice.below(TICK_MS));
        yard.cloud.lambda.kill_after(function, Some(soon));
        if dice.below(3) == 0
            && let Some(machine) = yard.group.at("InService").first()
        {
            // Refused if it went since.
            let form = [
                ("Action", "TerminateInstanceInAutoScalingGroup"),
                ("InstanceId", machine),
                ("ShouldDecrementDesiredCapacity", "false"),
            ];
            let asked = yard.group.emulator.query("operator", "autoscaling", &form);
            asked.expect("the API server answers");
        }
        std::thread::sleep(Duration::from_millis(500 + dice.below(1_500)));
        for worker in yard.crew.busy() {
            if dice.below(2) == 0 {
                yard.crew.finish(&worker);
            }
        }
        yard.cloud.lambda.kill_after(function, None);
        yard.lapse_the_hold();
    }
    until("everything to be over", 2 * LONG, || {
        yard.crew.finish_all();
        let standing = yard.group.standing();
        match standing.instances.is_empty() && standing.desired == 0 {
            true => Ok(()),
            false => Err(format!("{standing:?}")),
        }
    });
    yard.prove();
}
