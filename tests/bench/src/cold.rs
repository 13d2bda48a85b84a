//! Cold starts: each function against a function that does nothing, and against Node and Python
//! functions that make the same calls. In turns, so that a busy moment meets them all.
use crate::build;
use crate::event;
use crate::others::Others;
use crate::runtime::{self, Start};
use crate::tls::Front;
use anyhow::{Context as _, Result};
use emulator::Emulator;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use windlass_report::Report;
use windlass_report::stats::{median, ms};

/// The names under which figures appear; `hello` does nothing.
const FUNCTIONS: [&str; 4] = ["webhook", "scheduler", "drift", "api"];

/// What all contenders share.
pub(crate) struct Stand {
    pub(crate) emulator: Emulator,
    front: Front,
    pub(crate) folder: tempfile::TempDir,
}

impl Stand {
    fn set_up() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let emulator = Emulator::start()?;
        let front = Front::start(folder.path(), emulator.endpoint())?;
        let stand = Self { emulator, front, folder };
        event::prepare(&stand.emulator)?;
        Ok(stand)
    }

    /// A process with nothing of this one's environment.
    fn command(&self, program: &Path, name: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for (name, value) in self.emulator.env(&format!("fn-{name}")) {
            command.env(name, value);
        }
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("AWS_ENDPOINT_URL", &self.front.endpoint)
            .env("SSL_CERT_FILE", &self.front.bundle)
            .env("AWS_CA_BUNDLE", &self.front.bundle)
            .env("NODE_EXTRA_CA_CERTS", &self.front.authority)
            .env("AWS_DEFAULT_REGION", emulator::REGION)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .env("WINDLASS_LOG", "warn");
        for (name, value) in event::environment() {
            command.env(name, value);
        }
        command.env("WINDLASS_QUEUE_URL_PREFIX", self.queues());
        command
    }

    /// As the emulator's, but through TLS.
    fn queues(&self) -> String {
        let plain = self.emulator.queue_url_prefix(event::QUEUES);
        plain.replace(self.emulator.endpoint(), &self.front.endpoint)
    }
}

struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<PathBuf>,
}

pub(crate) fn measure(rounds: usize) -> Result<Report> {
    let built = build::functions()?;
    let others = Others::install()?;
    let stand = Stand::set_up()?;
    let ours = ["hello"].iter().chain(&FUNCTIONS).map(|name| {
        let program = built.get(*name).with_context(|| format!("{name} was not built"))?;
        Ok(Contender { name, program: program.clone(), arguments: vec![] })
    });
    let mut contenders = ours.collect::<Result<Vec<_>>>()?;
    contenders.push(Contender {
        name: "node",
        program: "node".into(),
        arguments: vec![others.node.clone()],
    });
    contenders.push(Contender {
        name: "python",
        program: others.python.clone(),
        arguments: vec![others.script.clone()],
    });
    let mut starts: BTreeMap<&str, Vec<Start>> = BTreeMap::new();
    for round in 0..=rounds {
        event::quiet_minute();
        for contender in &contenders {
            let event = event::of(contender.name, round);
            let mut command = stand.command(&contender.program, contender.name);
            command.args(&contender.arguments);
            let start = runtime::start(&mut command, &event, &|| stand.front.thought())
                .with_context(|| format!("{} in round {round}", contender.name))?;
            event::check(contender.name, &start.answer)?;
            // The first round fills the page cache.
            if round > 0 {
                starts.entry(contender.name).or_default().push(start);
            }
        }
    }
    let sizes =
        built.iter().map(|(name, program)| Ok((name.as_str(), std::fs::metadata(program)?.len())));
    let sizes: BTreeMap<&str, u64> = sizes.collect::<Result<_>>()?;
    Ok(report(rounds, &starts, &sizes, &stand.emulator.calls()?))
}

fn report(
    rounds: usize,
    starts: &BTreeMap<&str, Vec<Start>>,
    sizes: &BTreeMap<&str, u64>,
    calls: &[emulator::Call],
) -> Report {
    let about = "From exec to the first answer over the Lambda Runtime API, with the AWS calls \
                 that the event causes over TLS 1.3; the webhook's, Node's and Python's are two \
                 S3 puts and one SQS send (the webhook also reads its secret). The API server stands \
                 in for AWS; what it thinks about its answers is told apart, as hello asks nothing";
    let mut report = Report::new("cold-start", about);
    report.command = "cargo run --release -p bench -- cold-start".to_owned();
    let of = |name: &str, what: fn(&Start) -> f64| {
        median(&starts[name].iter().map(what).collect::<Vec<_>>())
    };
    let answered = |name: &str| of(name, |start| ms(start.answered));
    let (hello, node, python) = (answered("hello"), answered("node"), answered("python"));
    for name in FUNCTIONS {
        let key = |what: &str| format!("{name}_{what}");
        let cold = answered(name);
        report.figure(&key("ms"), cold, "ms", &format!("{name}: first answer"));
        let own = of(name, |start| ms(start.answered.saturating_sub(start.thought)));
        report.figure(&key("own_ms"), own, "ms", "… less what the API server thought");
        let row =
            report.figure(&key("by_hello"), own / hello, "", "… this as a multiple of hello's");
        row.at_most = Some(4.0);
        let row = report.figure(&key("by_node"), cold / node, "", "… in proportion to Node's");
        row.at_most = Some(0.2);
        let row = report.figure(&key("by_python"), cold / python, "", "… to Python's");
        row.at_most = Some(1.0 / 3.0);
        report.figure(&key("ready_ms"), of(name, |s| ms(s.ready)), "ms", "… ready for an event");
        report.figure(&key("warm_ms"), of(name, |s| ms(s.warm)), "ms", "… the same event, warm");
        let peak = of(name, |s| f64::from(u32::try_from(s.peak_kb).unwrap_or(u32::MAX)) / 1_024.0);
        report.figure(&key("peak_mb"), peak, "MB", "… peak memory").at_most = Some(24.0);
        let size = sizes.get(name).copied().unwrap_or_default();
        let size = f64::from(u32::try_from(size / 1_000).unwrap_or(u32::MAX)) / 1_000.0;
        report.figure(&key("size_mb"), size, "MB", "… stripped program").at_most = Some(12.0);
        let caller = format!("fn-{name}");
        let made = calls.iter().filter(|call| call.caller == caller).count();
        let each = made / (2 * (rounds + 1));
        report.figure(&key("calls"), count(each), "", "… AWS calls of a start, on average");
    }
    report.figure("hello_ms", hello, "ms", "a function that does nothing: first answer");
    report.figure("node_ms", node, "ms", "Node, AWS SDK v3: first answer");
    report.figure("python_ms", python, "ms", "Python, boto3: first answer");
    report.figure("rounds", count(rounds), "", "rounds, in turns");
    report
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
