//! The last words of jobs whose worker died: what the tool went on to say is stored after all.
//!
//! The tool writes to a file and outlives its worker; the next process on the same folder waits
//! for the group's end and stores the rest of the log, masked like the beginning. It changes
//! nothing else: what became of the job is said by whoever declares it lost.
use crate::agent::Shared;
use crate::backoff::until_known;
use crate::environment;
use crate::folder::{self, Leftover};
use crate::logs::{Mark, Place, StepLog};
use crate::mask::{Masks, learn};
use crate::outputs;
use crate::proc::group_gone;
use crate::upload::Uploads;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use windlass_core::definition::EnvValue;
use windlass_core::job::{JobSpec, Step};

/// Logs by the names of their scripts. Hooks after the run share their step's, and are left.
const LOGS: [(&str, Step); 5] = [
    ("init", Step::Initializing),
    ("plan", Step::Planning),
    ("apply", Step::Applying),
    ("destroy", Step::Destroying),
    ("perform", Step::Performing),
];
const LOOK: Duration = Duration::from_secs(1);

/// A leftover with what its log must not show. Without that, no word of it can be stored.
pub(crate) struct Orphan {
    leftover: Leftover,
    masks: Option<Masks>,
}

/// Gathers what masking needs. To be called before registering: while the old record stands, the
/// job's secrets may still be read.
pub(crate) async fn gather(shared: &Shared, leftovers: Vec<Leftover>) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for leftover in leftovers {
        let masks = masks(shared, &leftover.spec).await;
        if let Err(why) = &masks {
            tracing::warn!(job = %leftover.spec.id, why, "the rest of a log can't be masked");
        }
        orphans.push(Orphan { leftover, masks: masks.ok() });
    }
    orphans
}

async fn masks(shared: &Shared, spec: &JobSpec) -> Result<Masks, String> {
    let mut masks = Masks::default();
    masks.add(environment::secrets_of(&shared.base));
    for var in &spec.env {
        if let EnvValue::Secret(name) = &var.value {
            let value = until_known(|| shared.deps.secrets.get(name)).await;
            let value = value.map_err(|fault| fault.chain())?;
            masks.add(value.as_deref());
        }
    }
    for input in &spec.inputs {
        let blob = until_known(|| shared.deps.blobs.get(&input.outputs_key)).await;
        let blob = blob.map_err(|fault| fault.chain())?;
        let values = outputs::parse(&blob.unwrap_or_default()).map_err(|e| e.to_string())?;
        if let Some(output) = values.get(&input.output).filter(|output| output.sensitive) {
            masks.add(output.secrets().iter().map(String::as_str));
        }
    }
    Ok(masks)
}

/// Waits for the end of each, stores the rest of its log, and clears its folder.
pub(crate) async fn tend(shared: Arc<Shared>, mut orphans: Vec<Orphan>) {
    while !orphans.is_empty() {
        let (ended, running): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|orphan| group_gone(&orphan.leftover.group));
        orphans = running;
        for orphan in ended {
            let (job, folder) = (orphan.leftover.spec.id.clone(), orphan.leftover.folder.clone());
            match store(&shared, orphan).await {
                Ok(true) => folder::remove(&folder),
                Ok(false) => tracing::warn!(%job, "the rest of a log is not stored"),
                Err(error) => tracing::warn!(%job, %error, "the rest of a log can't be read"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn store(shared: &Shared, orphan: Orphan) -> io::Result<bool> {
    let Orphan { leftover: Leftover { folder, spec, .. }, masks } = orphan;
    let readable = masks.is_some();
    let mut masks = masks.unwrap_or_default();
    let uploads = Uploads::start(shared.deps.blobs.clone());
    let worker = &shared.config.worker;
    for (name, step) in LOGS {
        let log = folder.join(format!("{name}.log"));
        if !log.exists() {
            continue;
        }
        // A value that a step asked to mask is masked for the rest of the job.
        relearn(&log, &mut masks)?;
        let (mark, length) = (Mark::beside(&log), fs::metadata(&log)?.len());
        // What ended before its worker did is stored, or was empty.
        if mark.read >= length && folder.join(format!("{name}.code")).exists() {
            continue;
        }
        append_end(&folder, name, &log, worker.as_str(), readable)?;
        let read = if readable { mark.read } else { length };
        let place =
            Place { job: spec.id.clone(), step, parts: uploads.sender(), offset: mark.stored };
        StepLog::resume(&log, read, place)?.finish(&mut masks)?;
    }
    let patience = Duration::from_millis(shared.config.timing.patience_ms);
    Ok(uploads.finish(patience).await.is_empty())
}

fn relearn(log: &Path, masks: &mut Masks) -> io::Result<()> {
    use io::BufRead;
    let mut lines = io::BufReader::new(fs::File::open(log)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        learn(masks, &line);
        line.clear();
    }
    Ok(())
}

/// How the step ended, if its shell could still say it.
fn append_end(
    folder: &Path,
    name: &str,
    log: &Path,
    worker: &str,
    readable: bool,
) -> io::Result<()> {
    let code = fs::read_to_string(folder.join(format!("{name}.code"))).unwrap_or_default();
    let how = match code.trim() {
        "" => "was cut off".to_owned(),
        code => format!("ended with exit code {code}"),
    };
    let hidden = "; what it said is not shown, as its secrets can't be masked any more";
    let hidden = if readable { "" } else { hidden };
    let line = format!("\n[Worker {worker} was gone while this ran on; it {how}{hidden}.]\n");
    let mut file = fs::File::options().append(true).open(log)?;
    io::Write::write_all(&mut file, line.as_bytes())
}
