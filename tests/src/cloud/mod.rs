//! The cloud in a box: a control plane, and pools of machines, as AWS would run them, on this machine.
//!
//! Everything is made from the translated templates; the functions are the real binaries. The rest
//! is AWS, as far as a control plane can tell:
//!
//! - [`template`], [`stack`], [`permissions`], [`machine_group`], [`deploy`]: from a template to
//!   buckets, queues, functions with their roles, and groups of machines.
//! - [`runtime`], [`environment`], [`trace`]: Lambda and its Runtime API; [`ahead`]: its clock.
//! - [`poller`], [`schedule`], [`bus`], [`front`]: what invokes functions: queues, times, events, HTTP.
//! - [`github`], [`workers`]: who else takes part: a small GitHub, and workers with the real tool.
//! - [`iam`]: what functions may do, held against what they did.
//! - [`place`]: all of it as a place for stories.
//! - [`aws`]: the API server (S3, SQS, …) is the emulator; this is the box's own way to it.
pub mod ahead;
pub mod aws;
pub mod bus;
pub mod deploy;
pub mod environment;
pub mod front;
pub mod github;
pub mod iam;
pub mod machine_group;
pub mod permissions;
pub mod place;
pub mod poller;
pub mod runtime;
pub mod schedule;
pub mod stack;
pub mod template;
pub mod trace;
pub mod workers;

use anyhow::{Context as _, Result};
use aws::Aws;
use bus::Bus;
use emulator::{Emulator, REGION};
use front::Front;
use poller::{Pollers, Weather};
use runtime::{Lambda, lock};
use schedule::Clock;
use stack::Stack;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use template::Template;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How a box differs from the template.
pub struct Settings<'a> {
    /// The stack's name; [`fresh_name`] makes one that no other box of this machine has.
    pub name: String,
    pub template: &'a Path,
    /// Parameters of the template.
    pub parameters: Vec<(&'a str, String)>,
    /// Where a function's program is, by the name that the template gives it.
    pub programs: &'a dyn Fn(&str) -> PathBuf,
    /// Where functions write their words.
    pub logs: &'a Path,
    /// How much faster than its clock schedules fire.
    pub speed: u32,
    /// After this time messages of a failed invocation come back; None: after the queue's own.
    pub comes_back: Option<Duration>,
    pub emulator: Arc<Emulator>,
}

/// One deployment.
pub struct Cloud {
    /// What its names begin with.
    pub name: String,
    pub aws: Aws,
    pub template: Template,
    pub stack: Stack,
    pub lambda: Arc<Lambda>,
    pub front: Front,
    /// What happens to messages.
    pub weather: Arc<Weather>,
    clock: Arc<Clock>,
    bus: Arc<Bus>,
    speed: u32,
    comes_back: Option<Duration>,
    running: Mutex<Option<Running>>,
}

/// What invokes functions while the control plane is there.
struct Running {
    pollers: Pollers,
    /// Of schedules, and of the bus.
    tasks: Vec<JoinHandle<()>>,
}

pub fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("w{}-{count}", std::process::id())
}

/// The threads that every box of this process shares.
pub fn threads() -> &'static Runtime {
    static THREADS: OnceLock<Runtime> = OnceLock::new();
    THREADS.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("threads")
    })
}

impl Cloud {
    /// Makes everything that the template asks for; nothing runs yet.
    ///
    /// # Errors
    /// When the template is not understood, or something can't be made.
    pub fn deploy(settings: &Settings) -> Result<Self> {
        threads().block_on(Self::make(settings))
    }

    async fn make(settings: &Settings<'_>) -> Result<Self> {
        let name = settings.name.clone();
        let body = template::translate(settings.template)?;
        let template = Template::new(&name, body, &settings.parameters)?;
        let stack = Stack::of(&template)?;
        let aws = Aws::new(settings.emulator.clone());
        deploy::deploy(&aws, &stack).await?;
        let front = Front::bind().await?;
        let mut functions = Vec::new();
        for function in &stack.functions {
            let mut function = function.clone();
            // What AWS's name servers do.
            for (logical, _) in template.of_type("AWS::ApiGatewayV2::Api")? {
                let there = template.api_endpoint(&logical)?;
                for value in function.env.values_mut() {
                    *value = value.replace(&there, &front.url());
                }
            }
            let program = (settings.programs)(&function.binary);
            functions.push((function, program));
        }
        let shared = shared(&aws.emulator);
        std::fs::create_dir_all(settings.logs).context("a folder for logs")?;
        let lambda = Arc::new(Lambda::new(functions, &shared, settings.logs));
        front.connect(&lambda, &stack.routes, stack.throttle);
        let clock = Arc::new(Clock::new(&aws, &lambda, &stack.schedules)?);
        let bus = Arc::new(Bus::new(&aws, &lambda, &stack.rules));
        let (speed, comes_back) = (settings.speed, settings.comes_back);
        let (running, weather) = (Mutex::default(), Arc::default());
        Ok(Self {
            name,
            aws,
            template,
            stack,
            lambda,
            front,
            weather,
            clock,
            bus,
            speed,
            comes_back,
            running,
        })
    }

    /// Queues are polled, schedules fire, events are delivered, the front answers.
    pub fn start(&self) {
        self.run(true);
    }

    /// As [`Self::start`], and no schedule fires by itself.
    pub fn start_without_ticks(&self) {
        self.run(false);
    }

    fn run(&self, ticks: bool) {
        let mut running = lock(&self.running);
        if running.is_some() {
            return;
        }
        self.lambda.set_down(false);
        let _threads = threads().enter();
        let sources = &self.stack.sources;
        let (aws, lambda, back) = (&self.aws, &self.lambda, self.comes_back);
        let pollers = Pollers::start(aws, lambda, sources, back, &self.weather);
        let mut tasks = self.bus.run();
        if ticks {
            tasks.extend(self.clock.run(self.speed));
        }
        *running = Some(Running { pollers, tasks });
        self.front.set_open(true);
    }

    /// Nothing is invoked any more. With `kill` what is at work dies, otherwise it ends first.
    pub fn stop(&self, kill: bool) {
        self.front.set_open(false);
        let running = lock(&self.running).take();
        if kill {
            self.lambda.set_down(true);
        }
        if let Some(Running { pollers, tasks }) = running {
            for task in &tasks {
                task.abort();
            }
            threads().block_on(pollers.stop());
        }
        self.lambda.set_down(true);
    }

    /// Fires every schedule at once.
    ///
    /// # Errors
    /// What a function failed with.
    pub fn tick(&self) -> Result<(), environment::Failed> {
        threads().block_on(self.clock.tick())
    }

    /// An event on EventBridge's default bus.
    pub fn tell(&self, event: &serde_json::Value) {
        let _threads = threads().enter();
        self.bus.clone().publish(event.clone());
    }

    /// Invokes a function, as an operator would.
    ///
    /// # Errors
    /// When it came to nothing, and why.
    pub fn invoke(&self, function: &str, event: &str) -> Result<String, environment::Failed> {
        let event = axum::body::Bytes::from(event.to_owned());
        let answer = threads().block_on(self.lambda.invoke(function, event, None))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The name of the first bucket.
    pub fn bucket(&self) -> &str {
        self.stack.buckets.first().map_or("", |bucket| &bucket.name)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop(true);
    }
}

/// What every function finds in its environment, beside its own.
pub fn shared(emulator: &Emulator) -> BTreeMap<String, String> {
    let own = [
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_SESSION_TOKEN", "not-a-secret"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TZ", ":UTC"),
    ];
    let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let emulator = emulator.env("nobody");
    own.chain(emulator.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}
