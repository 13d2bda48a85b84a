//! Spacelift's own module as somebody has deployed it, with our program in place of its own: a group,
//! its variables, its role, a key in its store, and nothing else.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fleet::functions::scheduled;
use e2e::fleet::{Crew, Functions, Group, Guise, Sizes};
use emulator::{Call, Emulator, Hook, REGION, Why};
use serde_json::{Value, json};
use spacelift_server::{KEY_ID, KEY_SECRET, Options, POOL, SpaceliftServer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub(super) const GUEST: &str = "guest";
const CALLER: &str = "fn-guest";
const GROUP: &str = "sp5ft-01jpool";
const PARAMETER: &str = "/sp5ft-01jpool/spacelift-api-secret";
const PLAIN: &str = "spacelift-api-secret";
/// That module's tag, and its function's time limit.
const TAG: &str = "WorkerPoolID";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Whoever has not registered by then never will.
pub(super) const PAST_BOOTS: Duration = Duration::from_secs(11 * 60);
/// Until a machine of the group's is in service.
const BOOT: Duration = Duration::from_secs(60);

/// Of that module: <https://github.com/spacelift-io/terraform-aws-spacelift-workerpool-on-ec2>. From
/// v8.0 on a hook holds whatever is to end, and another function of its own lets it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    Before8,
    From8,
}

pub(super) const RELEASES: [Release; 2] = [Release::Before8, Release::From8];

impl Release {
    /// What its role allows the autoscaler, beside reading the key.
    fn role(self) -> &'static [&'static str] {
        match self {
            Self::Before8 => &[
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DetachInstances",
                "autoscaling:SetDesiredCapacity",
                "ec2:DescribeInstances",
                "ec2:TerminateInstances",
            ],
            Self::From8 => &[
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:SetDesiredCapacity",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "ec2:DescribeInstances",
            ],
        }
    }

    /// How a machine ends that is let go.
    pub(super) fn end(self) -> (Why, Hook) {
        match self {
            Self::Before8 => (Why::Ec2, Hook::None),
            Self::From8 => (Why::User, Hook::Completed),
        }
    }
}

const HOOK: &str = "DrainWorkerLifecycleHook";
pub(super) const HOOK_TIMEOUT: Duration = Duration::from_secs(300);
const WHOLE: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";
const SECRETS: &str = "secretsmanager:GetSecretValue";

/// Where the API key's secret lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Parameter,
    /// Somebody's own, in no path.
    PlainParameter,
    Secret,
}

/// Who tells the function of the private authority of its Spacelift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// The machine's own trust, as it is in Spacelift's public one.
    Machine,
    /// `SPACELIFT_CA_BUNDLE`, in Base64, before v7.1.
    Variable,
    /// The secret that `SPACELIFT_CA_BUNDLE_SECRET_ARN` names, which holds the same.
    Secret,
}

/// How a site differs from the next.
pub(super) struct Settings {
    pub(super) release: Release,
    pub(super) sizes: Sizes,
    /// Workers on each machine.
    pub(super) each: u32,
    pub(super) max_create: u32,
    pub(super) max_kill: u32,
    pub(super) key: Key,
    /// The function's time limit.
    pub(super) timeout: Duration,
    /// The tag that its machines have from their launch on.
    pub(super) tag: (&'static str, &'static str),
    /// A Spacelift from before `availableAt`.
    pub(super) legacy: bool,
    pub(super) authority: Authority,
}

impl Default for Settings {
    fn default() -> Self {
        let sizes = Sizes { min: 0, desired: 0, max: 10 };
        let (release, max_create, max_kill, key) = (Release::Before8, 10, 10, Key::Parameter);
        let (timeout, tag) = (TIMEOUT, (TAG, POOL));
        let (legacy, authority) = (false, Authority::Machine);
        Self { release, sizes, each: 1, max_create, max_kill, key, timeout, tag, legacy, authority }
    }
}

pub(super) struct Site {
    pub(super) emulator: Arc<Emulator>,
    pub(super) group: Arc<Group>,
    pub(super) crew: Crew,
    pub(super) functions: Functions,
    /// The key's secrets that there were.
    secrets: Vec<String>,
    release: Release,
    key: Key,
    reads: Vec<&'static str>,
    ahead: Mutex<Duration>,
    held: AtomicBool,
    _folder: TempDir,
}

impl Site {
    #[track_caller]
    pub(super) fn new(settings: Settings) -> Self {
        let emulator = Emulator::alone().expect("an AWS API server");
        let group = Group::create(emulator.clone(), GROUP, settings.sizes, settings.tag);
        let group = Arc::new(group);
        emulator.set_boot_ms(ms(BOOT)).expect("boots take time");
        let options = Options { tls: true, legacy: settings.legacy, ..Options::default() };
        let server = SpaceliftServer::start_as(&options);
        let authority = server.authority().expect("it speaks TLS").to_owned();
        let coded = STANDARD.encode(&authority);
        let (name, reads) = keep(&emulator, settings.key);
        let mut reads = vec![reads];
        let mut env = variables(&group, &server, &name, &settings);
        match settings.authority {
            Authority::Machine => {}
            Authority::Variable => {
                env.insert("SPACELIFT_CA_BUNDLE".to_owned(), coded);
            }
            Authority::Secret => {
                let arn = keep_secret(&emulator, "sp5ft-01jpool-unified-secret", &coded);
                env.insert("SPACELIFT_CA_BUNDLE_SECRET_ARN".to_owned(), arn);
                reads.push(SECRETS);
            }
        }
        let release = settings.release;
        if release == Release::From8 {
            let form = [
                ("LifecycleHookName", HOOK),
                ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
                ("HeartbeatTimeout", &HOOK_TIMEOUT.as_secs().to_string()),
                ("DefaultResult", "CONTINUE"),
            ];
            group.did("PutLifecycleHook", &form);
        }
        let role = [release.role(), &reads].concat();
        emulator.set_roles(&[(CALLER, &role)]).expect("a role");

        let folder = tempfile::tempdir().expect("a folder");
        let trusted = folder.path().join("authorities.pem");
        std::fs::write(&trusted, &authority).expect("a file");
        let guise = Guise { name: GUEST, binary: "autoscaler", env, timeout: settings.timeout };
        let functions = Functions::new(&emulator, &folder.path().join("logs"), vec![guise]);
        if settings.authority == Authority::Machine {
            let trusted = trusted.display().to_string();
            functions.lambda.set_variable(GUEST, "SSL_CERT_FILE", Some(&trusted));
        }
        let crew = Crew::new(server, group.clone(), settings.each);
        let (secrets, key) = (vec![KEY_SECRET.to_owned()], settings.key);
        let ahead = Mutex::default();
        Self {
            emulator,
            group,
            crew,
            functions,
            secrets,
            release,
            key,
            reads,
            ahead,
            held: AtomicBool::new(false),
            _folder: folder,
        }
    }

    /// One with so many machines in service, each with its workers, all idle.
    #[track_caller]
    pub(super) fn with_machines(machines: u32, settings: Settings) -> Self {
        let sizes = Sizes { desired: machines, ..settings.sizes };
        let site = Self::new(Settings { sizes, ..settings });
        site.boot();
        let up = site.group.at("InService").len();
        assert_eq!(up, usize::try_from(machines).expect("a few"));
        site
    }

    pub(super) fn server(&self) -> &SpaceliftServer {
        &self.crew.server
    }

    /// The schedule fires.
    pub(super) fn try_tick(&self) -> Result<Value, e2e::cloud::environment::Failed> {
        let due = SystemTime::now() + *lock(&self.ahead);
        let answer = self.functions.invoke(GUEST, &scheduled(due));
        self.let_go();
        answer
    }

    /// From now on that module's other function lets nobody go, or does so again.
    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// What that module's other function does: of the machines that its hook holds, those go that have
    /// no run.
    fn let_go(&self) {
        if self.held.load(Ordering::Relaxed) {
            return;
        }
        let busy = self.crew.busy_machines();
        for machine in self.group.at("Terminating:Wait") {
            if !busy.contains(&machine) {
                let form = [
                    ("LifecycleHookName", HOOK),
                    ("InstanceId", machine.as_str()),
                    ("LifecycleActionResult", "CONTINUE"),
                ];
                self.group.did("CompleteLifecycleAction", &form);
            }
        }
    }

    #[track_caller]
    pub(super) fn tick(&self) -> Value {
        self.try_tick().unwrap_or_else(|why| panic!("{why}\n{}", self.functions.said()))
    }

    /// From now on the function's clock, and that of its schedule, are so far ahead: all machines are
    /// older than they were.
    pub(super) fn set_clock(&self, ahead: Duration) {
        *lock(&self.ahead) = ahead;
        self.functions.lambda.set_clock(GUEST, i64::try_from(ms(ahead)).unwrap_or(i64::MAX));
    }

    /// Machines that were launched come up, and their workers register and take what waits.
    pub(super) fn boot(&self) {
        self.group.pass(BOOT + Duration::from_secs(1));
        self.crew.turn();
    }

    /// What the function's last tick said of itself.
    #[track_caller]
    pub(super) fn last(&self) -> Value {
        self.functions.told("fleet").pop().expect("a tick")
    }

    /// The key's secret is another one from now on.
    pub(super) fn rotate(&mut self, secret: &str) {
        self.server().set_key_secret(secret);
        store(&self.emulator, self.key, secret);
        self.secrets.push(secret.to_owned());
    }

    /// What the function asked of AWS.
    pub(super) fn calls(&self) -> Vec<Call> {
        let calls = self.emulator.calls().expect("the API server answers");
        calls.into_iter().filter(|call| call.caller == CALLER).collect()
    }

    /// Everything that the function asked, of AWS and of Spacelift, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        let aws = self.calls().into_iter().map(|call| (call.at, call.action));
        let spacelift = self.server().calls().into_iter().map(|call| {
            let drain = call.variables["drain"].as_bool();
            let drain = drain.map_or("", |drain| if drain { " on" } else { " off" });
            (call.at, format!("{}{drain}", call.fields.join(" ")))
        });
        let mut all: Vec<(f64, String)> = aws.chain(spacelift).collect();
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        all.into_iter().map(|(_, what)| what).collect()
    }

    /// What must be true of every site, whatever its story.
    #[track_caller]
    fn proofs(&self) {
        let kills = self.crew.busy_kills();
        assert!(kills.is_empty(), "machines that were ended with a run: {kills:#?}");
        let role = self.release.role();
        // What a role lacks is found out by being refused, once in the life of a process.
        let refusable = match self.release {
            Release::Before8 => Some(WHOLE),
            Release::From8 if self.group.standing().detached.is_empty() => None,
            Release::From8 => Some("ec2:TerminateInstances"),
        };
        let allowed = |call: &Call| {
            let action = format!("{}:{}", call.service, call.action);
            match call.status {
                403 => refusable == Some(action.as_str()),
                _ => role.contains(&action.as_str()) || self.reads.contains(&action.as_str()),
            }
        };
        let calls = self.calls();
        let refused: Vec<&Call> = calls.iter().filter(|call| !allowed(call)).collect();
        assert!(refused.is_empty(), "outside of the module's role: {refused:#?}");
        let said = self.functions.said();
        for secret in self.secrets.iter().chain(&self.server().tokens_ever()) {
            assert!(!said.contains(secret.as_str()), "a secret is in the logs:\n{said}");
        }
        assert!(!said.contains("BusyKills\":1"), "{said}");
        assert!(!said.contains("\"Panics\""), "{said}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => println!("{}\n{:#?}", self.functions.said(), self.asked()),
            false => self.proofs(),
        }
    }
}

/// The variables that Spacelift's module sets, and no others.
fn variables(
    group: &Group,
    server: &SpaceliftServer,
    key: &str,
    settings: &Settings,
) -> BTreeMap<String, String> {
    let all = [
        ("AUTOSCALING_GROUP_ARN", group.arn()),
        ("AUTOSCALING_REGION", REGION.to_owned()),
        ("AUTOSCALING_MAX_CREATE", settings.max_create.to_string()),
        ("AUTOSCALING_MAX_KILL", settings.max_kill.to_string()),
        ("AUTOSCALING_SCALE_DOWN_DELAY", "0".to_owned()),
        ("SPACELIFT_API_KEY_ENDPOINT", server.url().to_owned()),
        ("SPACELIFT_API_KEY_ID", KEY_ID.to_owned()),
        ("SPACELIFT_API_KEY_SECRET_NAME", key.to_owned()),
        ("SPACELIFT_WORKER_POOL_ID", POOL.to_owned()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Keeps the key's secret. What names it, and the action that reads it.
fn keep(emulator: &Emulator, key: Key) -> (String, &'static str) {
    match key {
        Key::Parameter | Key::PlainParameter => {
            store(emulator, key, KEY_SECRET);
            (parameter(key).to_owned(), "ssm:GetParameter")
        }
        Key::Secret => (keep_secret(emulator, GROUP, KEY_SECRET), SECRETS),
    }
}

/// Its ARN.
fn keep_secret(emulator: &Emulator, name: &str, value: &str) -> String {
    let words = json!({ "Name": name, "SecretString": value });
    let made = emulator.json("operator", "secretsmanager", "secretsmanager.CreateSecret", &words);
    let made = made.expect("a secret is kept");
    made["ARN"].as_str().expect("an ARN").to_owned()
}

fn parameter(key: Key) -> &'static str {
    if key == Key::PlainParameter { PLAIN } else { PARAMETER }
}

fn store(emulator: &Emulator, key: Key, secret: &str) {
    let (service, target, words) = match key {
        Key::Parameter | Key::PlainParameter => (
            "ssm",
            "AmazonSSM.PutParameter",
            json!({ "Name": parameter(key), "Value": secret, "Type": "SecureString", "Overwrite": true }),
        ),
        Key::Secret => (
            "secretsmanager",
            "secretsmanager.PutSecretValue",
            json!({ "SecretId": GROUP, "SecretString": secret }),
        ),
    };
    emulator.json("operator", service, target, &words).expect("the secret is kept");
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
