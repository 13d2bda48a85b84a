//! A pool of machines for a control plane on the box: `infra/worker-pool.yaml`, deployed.
use super::group::Group;
use super::machines::Machines;
use crate::binary;
use crate::cloud::place::Inner;
use crate::cloud::{Cloud, Settings, fresh_name, iam};
use crate::process::tail;
use crate::wait::{SHORT, until};
use crate::world::World;
use emulator::{Emulator, Hook};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The pool that every definition means which names none.
pub const POOL: &str = "default";
/// Ticks come each two seconds, not each minute.
const SPEED: u32 = 30;
/// A message comes back so soon after a function was killed.
const COMES_BACK: Duration = Duration::from_secs(2);
/// The shortest that is allowed: a heartbeat a minute.
pub const HOOK_TIMEOUT_S: u64 = 180;
/// The emulator knows it.
const IMAGE: &str = "ami-12c6146b";

pub struct Pool {
    pub cloud: Cloud,
    pub group: Arc<Group>,
    pub machines: Machines,
    control: Arc<Inner>,
}

impl Pool {
    /// Beside this control plane, at most so many machines, of which so many of a hundred are on
    /// demand. Nothing ticks before it is started.
    #[track_caller]
    pub fn deploy(
        world: &World,
        control: &Arc<Inner>,
        max: u32,
        on_demand_percent: u32,
        policy: &Value,
    ) -> Self {
        let aws = &control.cloud.aws;
        let told = |output: &str| control.cloud.template.output(output).expect("an output");
        let parameters = vec![
            ("Kind", "windlass".to_owned()),
            ("WorkerPoolId", POOL.to_owned()),
            ("MaxSize", max.to_string()),
            ("OnDemandPercent", on_demand_percent.to_string()),
            ("Bucket", told("Bucket")),
            ("QueueUrlPrefix", told("QueueUrlPrefix")),
            ("SecretsPrefix", told("SecretsPrefix")),
            ("WorkerPolicyArn", told("WorkerPolicy")),
            ("LauncherS3Bucket", "programs".to_owned()),
            ("LauncherS3Key", "windlass".to_owned()),
            ("FleetPolicy", policy.to_string()),
        ];
        let cloud = deployed(&aws.emulator, &world.folder().join("fleet"), parameters);
        let made = &cloud.stack.groups[0];
        let group = Group { emulator: aws.emulator.clone(), name: made.name.clone() };
        let group = Arc::new(group);
        let script = made.user_data().expect("machines have user data");
        let machines = Machines::watch(world, &group, &script, &world.folder().join("machines"));
        Self { cloud, group, machines, control: control.clone() }
    }

    /// Every drain that is remembered and not over, by its key.
    pub fn open_drains(&self) -> Vec<String> {
        let prefix = format!("fleet/{POOL}/drains/");
        let keys = self.control.keys().into_iter().filter(|key| key.starts_with(&prefix));
        let open = |key: &String| {
            let body = self.control.object(key).unwrap_or_default();
            let record: Value = serde_json::from_slice(&body).unwrap_or_default();
            record["value"]["completed"] != true
        };
        keys.filter(open).collect()
    }

    /// A machine's record, as its worker and the fleet keep it.
    pub fn record(&self, machine: &str) -> Value {
        let body = self.control.object(&format!("pools/{POOL}/instances/{machine}.json"));
        let record: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        record["value"].clone()
    }

    /// Machines with a run, by their records.
    pub fn busy(&self) -> Vec<String> {
        let machines = self.group.standing().instances.into_keys();
        let busy = |machine: &String| {
            let record = self.record(machine);
            let mut slots = record["slots"].as_array().into_iter().flatten();
            slots.any(|slot| slot["slot"] == "busy")
        };
        machines.filter(busy).collect()
    }

    /// So much time passes for the group, its hooks and the drainer, and everybody ticks once.
    pub fn pass(&self, total_ms: &mut u64, ms: u64) {
        *total_ms += ms;
        self.group.pass(Duration::from_millis(ms));
        self.cloud.lambda.set_clock("Drainer", i64::try_from(*total_ms).unwrap_or(i64::MAX));
    }

    /// What must be true of every pool at rest: no machine went while a tool was at work there, each
    /// hook was completed, none waits, and no drain is left open.
    #[track_caller]
    pub fn prove(&self) {
        assert_eq!(
            self.machines.died_at_work(),
            Vec::<String>::new(),
            "machines that died at work"
        );
        let ends = self.group.ends();
        let lapsed: Vec<_> = ends.iter().filter(|end| end.hook != Hook::Completed).collect();
        assert!(lapsed.is_empty(), "hooks that nobody completed: {lapsed:#?}");
        assert_eq!(self.group.at("Terminating:Wait"), Vec::<String>::new(), "hooks that wait");
        // A machine may be gone a moment before that is written down.
        until("every drain to be over", SHORT, || {
            let open = self.open_drains();
            if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
        });
        let said = self.functions_said();
        assert!(!said.contains("a busy machine was ended by us"), "a busy kill was counted");
    }

    /// Every word of both functions.
    pub fn functions_said(&self) -> String {
        let logs = self.cloud.lambda.logs();
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect()
    }
}

impl Drop for Pool {
    /// Whatever a story was about: nobody did what their role does not allow.
    fn drop(&mut self) {
        self.cloud.stop(true);
        if std::thread::panicking() {
            let logs = self.cloud.lambda.logs().map(|log| tail(log, 60)).collect::<String>();
            let group = &self.group;
            let standing = group.emulator.standing(&group.name);
            eprintln!("{logs}{}{standing:#?}\n{:#?}", self.machines.said(), group.ends());
            return;
        }
        let calls = self.group.emulator.calls().unwrap_or_default();
        let names = [self.cloud.name.as_str(), self.control.cloud.name.as_str()];
        let used = iam::used_by_pool(&calls, &self.cloud.stack, names);
        iam::remember(&used).expect("the record of calls can be written");
        let roles = iam::roles(&iam::any_pool().expect("the template is understood"));
        let missing = iam::missing(&roles, &used);
        assert!(missing.is_empty(), "no statement of infra/worker-pool.yaml allows {missing:#?}");
    }
}

pub fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/worker-pool.yaml")
}

/// The template with these parameters, and those that every pool on the box has.
#[track_caller]
pub fn deployed(
    emulator: &Arc<Emulator>,
    logs: &Path,
    mut parameters: Vec<(&str, String)>,
) -> Cloud {
    let (subnet, security_group) = network(emulator);
    parameters.extend([
        ("AmiId", IMAGE.to_owned()),
        ("Subnets", subnet),
        ("SecurityGroups", security_group),
        ("PackagesBucket", "programs".to_owned()),
        ("HookTimeout", HOOK_TIMEOUT_S.to_string()),
        ("LogLevel", std::env::var("WINDLASS_TEST_LOG").unwrap_or_else(|_| "info".to_owned())),
    ]);
    let cloud = Cloud::deploy(&Settings {
        name: fresh_name(),
        template: &template(),
        parameters,
        programs: &binary::function,
        logs,
        speed: SPEED,
        comes_back: Some(COMES_BACK),
        emulator: emulator.clone(),
    });
    cloud.expect("the pool is deployed")
}

/// What people have in their account before: a subnet and a security group.
fn network(emulator: &Emulator) -> (String, String) {
    let first = |action: &str, element: &str| {
        let (_, text) = emulator.query("operator", "ec2", &[("Action", action)]).expect("EC2");
        let found =
            text.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once('<'));
        found.map(|(id, _)| id.to_owned()).unwrap_or_else(|| panic!("no {element}: {text}"))
    };
    (first("DescribeSubnets", "subnetId"), first("DescribeSecurityGroups", "groupId"))
}
