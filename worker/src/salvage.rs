//! The last words of jobs whose worker died: what the tool went on to say is stored after all.
//!
//! The tool writes to a file and outlives its worker; the next process on the same folder waits
//! for the group's end and stores the rest of the log, masked like the beginning. Where the control
//! plane can't see this machine it also is the witness: a plan's tool it ends at once, any other
//! once its time has passed; then it removes the lock that the tool left, and writes down that
//! nothing of that attempt exists any more (rule E1).
use crate::agent::Shared;
use crate::archive::TREE;
use crate::backoff::until_known;
use crate::environment;
use crate::errored;
use crate::folder::{self, Leftover};
use crate::locks;
use crate::logs::{Mark, Place, StepLog};
use crate::mask::{Masks, learn};
use crate::outputs;
use crate::proc::{group_gone, interrupt_group, kill_group, only_strays_run};
use crate::record::moment;
use crate::report::{self, About};
use crate::upload::Uploads;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use windlass_core::definition::{EnvValue, KILL_GRACE_MS};
use windlass_core::id::InstanceId;
use windlass_core::job::{Claim, Gone, JobId, JobResult, JobSpec, News, Phase, Step};
use windlass_core::keys;
use windlass_ports::{Fault, cas};

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
    /// Its time had passed, and it was told.
    interrupted: bool,
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
        orphans.push(Orphan { leftover, masks: masks.ok(), interrupted: false });
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
        if shared.config.witness {
            orphans.iter_mut().for_each(end_if_due);
        }
        orphans.iter().for_each(end_leftovers);
        let (ended, running): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|orphan| group_gone(&orphan.leftover.group));
        orphans = running;
        for orphan in ended {
            let leftover = orphan.leftover.clone();
            let (job, folder) = (&leftover.spec.id, &leftover.folder);
            let stored = match store(&shared, orphan).await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::warn!(%job, %error, "the rest of a log can't be read");
                    false
                }
            };
            let told = !shared.config.witness || testified(&shared, &leftover).await;
            match stored && told {
                true => folder::remove(folder),
                false => tracing::warn!(%job, stored, told, "what a dead worker left stays here"),
            }
            let_go(&shared, job).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the worker would have done at the job's end: the steps have ended, and what they left in the
/// background goes. Where a step did not end in order, what left the group may be the tool itself.
fn end_leftovers(orphan: &Orphan) {
    let Leftover { group, folder, .. } = &orphan.leftover;
    let names = LOGS.iter().map(|(name, _)| *name).chain(["after-run"]);
    let there = |name: &str, end: &str| folder.join(format!("{name}.{end}")).exists();
    let in_order = || names.into_iter().all(|name| !there(name, "log") || there(name, "code"));
    if only_strays_run(group) && in_order() {
        kill_group(group);
    }
}

/// From here on the machine need not wait for this job. Whatever could not be told will not be told
/// by waiting.
async fn let_go(shared: &Shared, job: &JobId) {
    let Shared { deps, record, ids, .. } = shared;
    let told = until_known(|| async {
        record.told(&*deps.docs, &ids.next(), job, deps.clock.now()).await
    });
    if let Err(fault) = told.await {
        tracing::error!(%job, error = fault.chain(), "that nothing is left of it can't be written");
    }
}

/// What `end_tool` is where the control plane shares the machine: a plan is made again elsewhere,
/// and anything else has had its run timeout and the grace of a kill.
fn end_if_due(orphan: &mut Orphan) {
    let Leftover { group, spec, since_boot_ms, .. } = &orphan.leftover;
    if spec.id.phase.repeatable() {
        kill_group(group);
        return;
    }
    let Some(since) = since_boot_ms.map(Duration::from_millis) else { return };
    let (had, run) = (moment().saturating_sub(since), Duration::from_millis(spec.timeouts.run_ms));
    if had >= run && !orphan.interrupted {
        orphan.interrupted = interrupt_group(group);
    }
    if had >= run + Duration::from_millis(KILL_GRACE_MS) {
        kill_group(group);
    }
}

/// Says, once and for all, that nothing of this attempt exists any more, if it was this worker's
/// and has no result. False if that can't be said yet.
async fn testified(shared: &Shared, leftover: &Leftover) -> bool {
    // Its result waits on disk and tells more.
    if shared.spooled(&leftover.spec.id) {
        return false;
    }
    match until_known(|| testify(shared, leftover)).await {
        Ok(()) => true,
        Err(fault) => {
            let (job, error) = (&leftover.spec.id, fault.chain());
            tracing::error!(%job, error, "that a job is over can't be written down");
            false
        }
    }
}

async fn testify(shared: &Shared, leftover: &Leftover) -> Result<(), Fault> {
    let (docs, worker) = (&*shared.deps.docs, &shared.config.worker);
    let Leftover { group, spec, .. } = leftover;
    let claim = cas::load::<Claim>(docs, &keys::job_claim(&spec.id)).await?;
    let began = match claim.map(|claim| claim.value) {
        Some(Claim::Held { worker: by, group: Some(claimed), at, .. })
            if by == *worker && claimed == *group =>
        {
            at
        }
        // Another's, or nobody's.
        _ => return Ok(()),
    };
    if cas::load::<JobResult>(docs, &keys::job_result(&spec.id)).await?.is_some() {
        return Ok(());
    }
    let mut cause = last_seen(leftover, worker);
    if let Some(errored) = errored_state(leftover) {
        cause.push_str(&format!("; {}", errored.sentence));
    }
    if let Some(lock) = locks::release(shared, spec, began).await? {
        cause.push_str(&format!("; the state's lock {lock}, which it left, was removed"));
    }
    let gone = Gone { cause, by: worker.clone(), at: shared.deps.clock.now() };
    cas::create(docs, &keys::job_gone(&spec.id), &shared.ids.next(), &gone).await?;
    let (job, stack) = (spec.id.clone(), spec.stack.clone());
    let about = About { job, stack, worker: worker.clone() };
    report::send(&shared.deps, &about, News::Gone, shared.ids.next()).await
}

fn errored_state(leftover: &Leftover) -> Option<errored::Errored> {
    let root = leftover.folder.join(TREE).join(&leftover.spec.project_root);
    errored::left(&root, None, &leftover.spec)
}

/// One sentence on how far it got, by what lies in its folder.
fn last_seen(leftover: &Leftover, worker: &InstanceId) -> String {
    let Leftover { folder, spec, .. } = leftover;
    let phase = spec.id.phase.as_str();
    let work = if spec.id.phase == Phase::Task { "perform" } else { phase };
    let code = fs::read_to_string(folder.join(format!("{work}.code"))).unwrap_or_default();
    let how = match code.trim() {
        "" if folder.join(format!("{work}.log")).exists() => "its tool was cut off".to_owned(),
        "" => format!("its tool did not come to the {phase}"),
        code => format!("its tool ended with exit code {code}"),
    };
    format!("worker {worker} ended before it could say how the {phase} went; {how}")
}

async fn store(shared: &Shared, orphan: Orphan) -> io::Result<bool> {
    let errored = errored_state(&orphan.leftover).and_then(|errored| errored.kept);
    let Orphan { leftover: Leftover { folder, spec, .. }, masks, .. } = orphan;
    let readable = masks.is_some();
    let mut masks = masks.unwrap_or_default();
    let uploads = Uploads::start(shared.deps.blobs.clone());
    if let Some((key, body)) = errored {
        uploads.sender().send(key, body);
    }
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
