//! Workers: who there is, and who takes no more jobs. A worker is of its pool's space.
use super::audit::{entry, tell};
use super::list::{all, load_many};
use super::{App, Error, event_id};
use crate::auth::{Admin, Seen, Who};
use crate::v1::{Asked, SlotView, WorkerList, WorkerView};
use windlass_core::access::Role;
use windlass_core::fleet::hold;
use windlass_core::id::PoolId;
use windlass_core::instance::{DrainedBy, Instance, Refused, Slot};
use windlass_core::keys;
use windlass_ports::cas::Loaded;
use windlass_ports::{Change, Fault, cas};

async fn records(app: &App, prefix: &str) -> Result<Vec<Loaded<Instance>>, Fault> {
    let mut listed = all(&*app.deps.docs, prefix, None).await?;
    listed.retain(|key| key.contains("/instances/"));
    let records = load_many::<Instance>(&*app.deps.docs, &listed).await?.into_iter().flatten();
    // On a machine with a tombstone there never was a worker.
    Ok(records.filter(|record| !record.value.is_tombstone()).collect())
}

/// All workers that the caller may see, those of the control plane itself left out.
async fn visible(app: &App, who: &Who) -> Result<Vec<Seen<Loaded<Instance>>>, Fault> {
    let records = records(app, keys::POOLS).await?;
    let of_users = records.into_iter().filter(|record| record.value.pool.0 != keys::CONTROL_POOL);
    Ok(of_users.filter_map(|record| who.see(&who.pool_space(&record.value.pool), record)).collect())
}

pub(crate) async fn workers(app: &App, who: &Who) -> Result<WorkerList, Error> {
    let records = visible(app, who).await?;
    Ok(WorkerList { workers: records.iter().map(|record| worker(record)).collect() })
}

fn worker(record: &Loaded<Instance>) -> WorkerView {
    let (it, age_ms) = (&record.value, record.age_ms);
    WorkerView {
        id: it.id.0.clone(),
        pool: it.pool.0.clone(),
        state: state(it, age_ms).to_owned(),
        epoch: it.epoch,
        slots: it.slots.iter().map(slot).collect(),
        draining_by: it.drain.as_ref().map(|drain| drain.by.to_string()),
        draining_since: it.drain.as_ref().map(|drain| drain.at.rfc3339()),
        registered_at: it.registered_at.rfc3339(),
        seen_ms_ago: age_ms,
        version: it.version.clone(),
        pid: it.pid,
    }
}

fn state(it: &Instance, age_ms: u64) -> &'static str {
    match (age_ms >= hold::lease_ms(it), it.drain.is_some(), it.busy()) {
        (true, _, _) => "silent",
        (false, true, true) => "draining",
        (false, true, false) => "drained",
        (false, false, true) => "busy",
        (false, false, false) => "idle",
    }
}

fn slot(slot: &Slot) -> SlotView {
    let (state, job) = match slot {
        Slot::Idle => ("idle", None),
        Slot::Busy { job } => ("busy", Some(job)),
        Slot::Void { job } => ("void", Some(job)),
    };
    SlotView {
        state: state.to_owned(),
        job: job.map(ToString::to_string),
        run: job.map(|job| job.run.0.clone()),
    }
}

/// Whether a waiting job has somebody to wait for.
pub(super) async fn pool_sentence(
    app: &App,
    who: &Who,
    pool: &PoolId,
) -> Result<Option<String>, Fault> {
    if pool.0 == keys::CONTROL_POOL || !who.may(Role::Reader, &who.pool_space(pool)) {
        return Ok(None);
    }
    let records = records(app, &keys::instances(pool)).await?;
    let states: Vec<&str> = records.iter().map(|r| state(&r.value, r.age_ms)).collect();
    let count = |word: &str| states.iter().filter(|state| **state == word).count();
    let (idle, busy) = (count("idle"), count("busy"));
    let others = states.len() - idle - busy;
    Ok(Some(match (idle, busy, others) {
        (0, 0, 0) => format!("The pool {pool} has no worker."),
        (0, 0, n) => {
            format!("The pool {pool} has no worker that takes jobs; {n} drain or are silent.")
        }
        (0, n, _) => format!("All {n} workers of the pool {pool} are busy."),
        (n, _, _) => format!("{n} workers of the pool {pool} are idle; it is about to be taken."),
    }))
}

async fn find(app: &App, who: &Who, id: &str) -> Result<Seen<Loaded<Instance>>, Error> {
    let found = visible(app, who).await?.into_iter().find(|record| record.value.id.0 == id);
    found.ok_or_else(|| {
        let shown: String = id.chars().take(80).collect();
        Error::NotFound(format!("there is no worker {shown}"))
    })
}

/// Marks a worker: it finishes what it has and takes nothing more. The mark and a claim are swaps
/// of one record, so they exclude each other.
pub(crate) async fn drain(app: &App, who: &Who, id: &str) -> Result<Asked, Error> {
    let worker = find(app, who, id).await?;
    let (by, now) = (who.admin(worker.space())?, app.now());
    swap(app, &by, &worker, "drain", |record| match &record.drain {
        Some(drain) => Err(format!("it drains already, marked by {}", drain.by)),
        None => record
            .drain(DrainedBy::Operator(by.actor().to_owned()), now)
            .map_err(|refused| refused.to_string()),
    })
    .await
}

/// Takes an operator's mark away, whichever operator's. What the autoscaler or a lifecycle hook
/// drains stays theirs.
pub(crate) async fn undrain(app: &App, who: &Who, id: &str) -> Result<Asked, Error> {
    let worker = find(app, who, id).await?;
    let by = who.admin(worker.space())?;
    swap(app, &by, &worker, "undrain", |record| {
        let operator = DrainedBy::Operator(by.actor().to_owned());
        record.undrain(&operator).map_err(|refused| not_undrained(record, refused))
    })
    .await
}

fn not_undrained(record: &Instance, refused: Refused) -> String {
    let by = record.drain.as_ref().map(|drain| drain.by.to_string()).unwrap_or_default();
    match refused {
        Refused::NotDraining => "it does not drain".to_owned(),
        Refused::Doomed => format!("its machine is about to be ended by {by}"),
        _ => format!("it is drained by {by}, and nobody else may take that back"),
    }
}

async fn swap(
    app: &App,
    by: &Admin,
    worker: &Seen<Loaded<Instance>>,
    action: &str,
    change: impl Fn(&Instance) -> Result<Instance, String> + Send + Sync,
) -> Result<Asked, Error> {
    let worker = &worker.value;
    let key = keys::instance(&worker.pool, &worker.id);
    let event = event_id()?;
    if let Err(why) = change(worker) {
        return Ok(Asked { event: event.0, run: None, changed: false, note: Some(why) });
    }
    let docs = &*app.deps.docs;
    let target = Some(format!("worker {}", worker.id));
    let entry = entry(app, event.clone(), by.actor(), action, target);
    let note = tell(docs, entry, async {
        let swapped = cas::update(docs, &key, &event.0, |record: Option<&Instance>| {
            let gone = || Change::Keep(Some("it is gone".to_owned()));
            let Some(record) = record else { return Ok(gone()) };
            Ok(match change(record) {
                Ok(next) => Change::Write(next, None),
                Err(why) => Change::Keep(Some(why)),
            })
        });
        Ok(swapped.await?)
    })
    .await?;
    Ok(Asked { event: event.0, run: None, changed: note.is_none(), note })
}
