//! `windlass worker`: an agent of a pool on AWS, on any machine that reaches S3, SQS and the
//! Parameter Store. It listens to nobody: its jobs come from the pool's queues.
//!
//! (`windlass work` is another thing: the child of `up`, which reaches its server by a socket.)
use crate::exit::{Exit, Failure, Outcome};
use crate::frame::Global;
use crate::up::folder::{self, Layout};
use adapter_aws::Aws;
use adapter_imds::Imds;
use adapter_sqs::Sqs;
use adapter_ssm::SsmSecrets;
use aws_config::BehaviorVersion;
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use windlass_core::id::{InstanceId, PoolId};
use windlass_ports::Notices;
use windlass_ports::clock::SystemClock;
use windlass_worker::{BlobCheckout, Bucket, Config, Deps, Shutdown, StateHome};

/// More jobs at once than this are a slip of the finger, not a machine.
const SLOTS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 63;
const ID_FILE: &str = "worker-id";

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// The pool whose jobs it takes
    #[arg(long, value_name = "NAME", env = "WINDLASS_POOL", default_value = "default")]
    pool: String,
    /// Its name in the pool; after a restart it must have the same [default: the host's name and a
    /// number that is kept in the data folder]
    #[arg(long, value_name = "NAME", env = "WINDLASS_WORKER_ID")]
    id: Option<String>,
    /// Jobs at once
    #[arg(long, value_name = "N", env = "WINDLASS_SLOTS", default_value_t = 1)]
    slots: usize,
    /// The bucket of the control plane (its stack's output Bucket)
    #[arg(long, value_name = "NAME", env = "WINDLASS_BUCKET")]
    bucket: Option<String>,
    /// What the URLs of its queues begin with (output QueueUrlPrefix)
    #[arg(long, value_name = "URL", env = "WINDLASS_QUEUE_URL_PREFIX")]
    queue_url_prefix: Option<String>,
    /// Where people's secrets lie in the Parameter Store (output SecretsPrefix)
    #[arg(long, value_name = "PATH", env = "WINDLASS_SECRETS_PREFIX")]
    secrets_prefix: Option<String>,
}

/// What it needs to know beside AWS's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    pool: PoolId,
    id: Option<InstanceId>,
    slots: usize,
    bucket: String,
    queue_url_prefix: String,
    secrets_prefix: String,
}

impl Settings {
    /// What is wrong goes to `wrong`, one sentence each.
    fn of(args: Args, wrong: &mut Vec<String>) -> Self {
        let mut given = |value: Option<String>, name: &str, flag: &str| {
            value.filter(|value| !value.is_empty()).unwrap_or_else(|| {
                wrong.push(format!("{name} ({flag}) is not set"));
                String::new()
            })
        };
        let bucket = given(args.bucket, "WINDLASS_BUCKET", "--bucket");
        let queue_url_prefix =
            given(args.queue_url_prefix, "WINDLASS_QUEUE_URL_PREFIX", "--queue-url-prefix");
        let secrets_prefix =
            given(args.secrets_prefix, "WINDLASS_SECRETS_PREFIX", "--secrets-prefix");
        let url =
            queue_url_prefix.starts_with("https://") || queue_url_prefix.starts_with("http://");
        if !queue_url_prefix.is_empty() && !url {
            wrong.push("WINDLASS_QUEUE_URL_PREFIX must begin with https://".to_owned());
        }
        let path = secrets_prefix.starts_with('/') && secrets_prefix.ends_with('/');
        if !secrets_prefix.is_empty() && !path {
            wrong.push("WINDLASS_SECRETS_PREFIX must begin and end with a slash".to_owned());
        }
        for (what, name) in [("the pool", Some(&args.pool)), ("the id", args.id.as_ref())] {
            if name.is_some_and(|name| !plain(name)) {
                wrong.push(format!(
                    "{what} must consist of letters, digits, dots, dashes and underscores, \
                     {NAME_CHARS_MAX} at most"
                ));
            }
        }
        if !(1..=SLOTS_MAX).contains(&args.slots) {
            wrong.push(format!("the slots must be between 1 and {SLOTS_MAX}"));
        }
        let (pool, id) = (PoolId(args.pool), args.id.map(InstanceId));
        Self { pool, id, slots: args.slots, bucket, queue_url_prefix, secrets_prefix }
    }
}

/// Fit for a key of a document and for the name of a queue.
fn plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(letter) && !name.starts_with('.')
}

pub(crate) fn run(global: &Global, args: Args) -> Outcome {
    let level = EnvFilter::try_from_env("WINDLASS_LOG")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().with_env_filter(level);
    let _ = lines.with_writer(std::io::stderr).try_init();
    let data = folder::locate(global.data.as_deref())?;
    // Two threads: leases are renewed whatever a log or an archive costs.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::missing("no runtime can be started").because(e))?;
    let outcome = runtime.block_on(work(&data, args));
    // What still uploads has had its time.
    runtime.shutdown_background();
    outcome
}

async fn work(data: &Path, args: Args) -> Outcome {
    // First, so that no signal finds us without a plan.
    let signals = Signals::new().map_err(|e| Failure::missing("no signal is heard").because(e))?;
    let mut wrong = Vec::new();
    let settings = Settings::of(args, &mut wrong);
    let aws = connect(&mut wrong).await;
    let name = settings.id.clone().map_or_else(|| kept_id(data), Ok);
    let name = name.map_err(|error| {
        wrong.push(format!("the data folder {} can't be used: {error}", data.display()));
    });
    let (true, Some(aws), Ok(worker)) = (wrong.is_empty(), aws, name) else {
        return Err(Failure::usage(format!("this worker can't start: {}", wrong.join("; "))));
    };
    let (shutdown, wanted) = watch::channel(Shutdown::Run);
    tokio::spawn(signals.listen(shutdown));
    let config = config(&Layout::new(data), &settings, &aws, worker.clone());
    tracing::info!(%worker, pool = %settings.pool, slots = settings.slots, "starting");
    let deps = deps(&settings, &aws, notices(&worker));
    windlass_worker::run(config, deps, wanted).await.map_err(|error| {
        tracing::error!(%worker, error = chain(&error), "the worker has ended");
        Failure::failed(format!("worker {worker}: {error}")).because(error)
    })?;
    Ok(Exit::Done)
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// AWS by its own tools' settings: variables, profiles, the machine's role, in that order.
pub(crate) async fn connect(wrong: &mut Vec<String>) -> Option<Aws> {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    let found: SdkConfig = loader.http_client(adapter_aws::http_client()).load().await;
    let region = found.region().map(ToString::to_string);
    if region.is_none() {
        wrong.push("there is no AWS region (AWS_REGION, or a profile's)".to_owned());
    }
    let credentials: Option<SharedCredentialsProvider> = found.credentials_provider();
    let usable = match &credentials {
        Some(provider) => provider.provide_credentials().await.map_err(|e| chain(&e)),
        None => Err("no source of them is known".to_owned()),
    };
    if let Err(why) = usable {
        wrong.push(format!("there are no AWS credentials: {why}"));
    }
    match Aws::with_credentials(&region?, credentials?) {
        Ok(aws) => Some(aws),
        Err(error) => {
            wrong.push(error.to_string());
            None
        }
    }
}

/// Runs see this process's AWS variables, its home folder's profiles and its machine's role: the
/// same sources that the worker itself uses. Roles of their own are not made for runs yet.
fn config(layout: &Layout, settings: &Settings, aws: &Aws, worker: InstanceId) -> Config {
    let state = StateHome::S3(Bucket {
        name: settings.bucket.clone(),
        region: aws.region().to_owned(),
        stand_in: aws.endpoint("S3").is_some(),
    });
    let work_dir = layout.work().join(worker.as_str());
    let mut config = Config::new(worker, settings.pool.clone(), work_dir, state);
    config.slots = settings.slots;
    config.plugin_cache = Some(layout.plugins());
    config.witness = true;
    config
}

fn deps(settings: &Settings, aws: &Aws, notices: Option<Arc<dyn Notices>>) -> Deps {
    let bucket = Arc::new(adapter_s3::Bucket::new(aws, &settings.bucket));
    Deps {
        docs: bucket.clone(),
        queues: Arc::new(Sqs::new(aws, &settings.queue_url_prefix, bucket.clone())),
        blobs: bucket.clone(),
        secrets: Arc::new(SsmSecrets::new(aws, &settings.secrets_prefix)),
        clock: Arc::new(SystemClock),
        checkout: Arc::new(BlobCheckout::new(bucket)),
        notices,
    }
}

/// A worker of an EC2 pool bears its instance's id, and so has a metadata service that tells of the
/// instance's end. Anywhere else there may be none to ask.
fn notices(worker: &InstanceId) -> Option<Arc<dyn Notices>> {
    let imds = is_of_instance(worker.as_str()).then(Imds::from_env).flatten()?;
    tracing::info!(%worker, "listens for Spot notices");
    Some(Arc::new(imds))
}

/// `i-` and 8 or 17 hexadecimal digits.
fn is_of_instance(name: &str) -> bool {
    let digits = name.strip_prefix("i-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// The name that this machine's worker has for good: what it leaves when it dies is settled by the
/// next one of that name.
fn kept_id(data: &Path) -> io::Result<InstanceId> {
    let file = data.join(ID_FILE);
    DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    match fs::read_to_string(&file) {
        Ok(text) if plain(text.trim()) => return Ok(InstanceId(text.trim().to_owned())),
        Ok(_) => return Err(io::Error::other(format!("{ID_FILE} in it holds no name"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut number = [0; 4];
    getrandom::fill(&mut number).map_err(|e| io::Error::other(e.to_string()))?;
    let name = new_id(&host(), u32::from_be_bytes(number));
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    made.write_all(format!("{name}\n").as_bytes())?;
    made.sync_all()?;
    Ok(InstanceId(name))
}

fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_default()
}

fn new_id(host: &str, number: u32) -> String {
    let short = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let kept: String = short.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let kept = kept.trim_matches('-');
    let kept = if kept.is_empty() { "worker" } else { &kept[..kept.len().min(40)] };
    format!("{kept}-{number:08x}")
}

/// SIGTERM or Ctrl-C means: finish what runs, take nothing new, go. A second one means: now. What
/// can't be repeated is finished all the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    async fn listen(mut self, shutdown: watch::Sender<Shutdown>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            let asked = next(*shutdown.borrow());
            tracing::info!(?asked, "told to go");
            shutdown.send_replace(asked);
        }
    }
}

fn next(so_far: Shutdown) -> Shutdown {
    match so_far {
        Shutdown::Run => Shutdown::Drain,
        Shutdown::Drain | Shutdown::Now => Shutdown::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            pool: "default".into(),
            id: None,
            slots: 1,
            bucket: Some("b".into()),
            queue_url_prefix: Some("https://sqs.eu-central-1.amazonaws.com/1/windlass-".into()),
            secrets_prefix: Some("/windlass/secrets/".into()),
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        #[rustfmt::skip]
        let table: [(&str, Args, &[&str]); 7] = [
            ("nothing",  args(),                                                        &[]),
            ("no names", Args { pool: "default".into(), slots: 1, ..Args::default() },  &["WINDLASS_BUCKET", "WINDLASS_QUEUE_URL_PREFIX", "WINDLASS_SECRETS_PREFIX"]),
            ("empty",    Args { bucket: Some(String::new()), ..args() },                &["WINDLASS_BUCKET (--bucket) is not set"]),
            ("no URL",   Args { queue_url_prefix: Some("windlass-".into()), ..args() }, &["must begin with https://"]),
            ("no path",  Args { secrets_prefix: Some("secrets".into()), ..args() },     &["begin and end with a slash"]),
            ("no key",   Args { pool: "a/b".into(), id: Some("..".into()), ..args() },  &["the pool must", "the id must"]),
            ("slots",    Args { slots: 0, ..args() },                                   &["between 1 and 64"]),
        ];
        for (name, args, expect) in table {
            let mut wrong = Vec::new();
            Settings::of(args, &mut wrong);
            assert_eq!(wrong.len(), expect.len(), "{name}: {wrong:?}");
            for (said, expect) in wrong.iter().zip(expect) {
                assert!(said.contains(expect), "{name}: {said}");
            }
        }
    }

    #[test]
    fn a_machine_keeps_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("data");
        let first = kept_id(&data).unwrap();
        assert!(plain(first.as_str()), "{first}");
        assert_eq!(kept_id(&data).unwrap(), first);
        fs::write(data.join(ID_FILE), "a/b\n").unwrap();
        assert!(kept_id(&data).unwrap_err().to_string().contains("no name"));
        for (host, expect) in [
            ("ip-10-0-0-7.eu-central-1.compute.internal", "ip-10-0-0-7-0000002a"),
            ("Ann's laptop", "annslaptop-0000002a"),
            ("", "worker-0000002a"),
            ("---", "worker-0000002a"),
        ] {
            assert_eq!(new_id(host, 42), expect);
        }
    }

    #[test]
    fn who_bears_the_name_of_its_instance() {
        #[rustfmt::skip]
        let table = [
            ("i-0123456789abcdef0",  true),
            ("i-1a2b3c4d",           true),
            ("i-",                   false),
            ("i-0123456789abcdef",   false),
            ("i-team-a",             false),
            ("i-teamteam",           false),
            ("ip-10-0-0-7-0000002a", false),
            ("w1",                   false),
        ];
        for (name, expect) in table {
            assert_eq!(is_of_instance(name), expect, "{name}");
        }
    }

    #[test]
    fn a_second_signal_is_in_a_hurry() {
        let told = [Shutdown::Run, Shutdown::Drain, Shutdown::Now].map(next);
        assert_eq!(told, [Shutdown::Drain, Shutdown::Now, Shutdown::Now]);
    }
}
