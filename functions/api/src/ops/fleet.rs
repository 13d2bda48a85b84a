//! Workers, the audit trail, and messages that were set aside.
use super::list::{all, newest};
use super::{App, Error, event_id};
use crate::v1::{
    Asked, AuditList, AuditView, QuarantineList, QuarantineView, SlotView, WorkerList, WorkerView,
};
use serde::Deserialize;
use windlass_core::audit::AuditEntry;
use windlass_core::id::{EventId, InstanceId, PoolId, StackId};
use windlass_core::instance::{Instance, Slot};
use windlass_core::job::{LEASE_IDLE_MS, LEASE_MS};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::cas::Loaded;
use windlass_ports::{Change, Fault, cas};

const AUDIT_LIMIT: usize = 50;
const AUDIT_LIMIT_MAX: usize = 200;
const QUARANTINE_MAX: usize = 200;

async fn records(app: &App, prefix: &str) -> Result<Vec<Loaded<Instance>>, Fault> {
    let mut records = Vec::new();
    for key in all(&*app.deps.docs, prefix, None).await? {
        if key.contains("/instances/") {
            records.extend(cas::load::<Instance>(&*app.deps.docs, &key).await?);
        }
    }
    Ok(records)
}

/// All workers that have a record, those of the control plane itself left out.
pub(crate) async fn workers(app: &App) -> Result<WorkerList, Error> {
    let records = records(app, keys::POOLS).await?;
    let of_users = |record: &&Loaded<Instance>| record.value.pool.0 != keys::CONTROL_POOL;
    Ok(WorkerList { workers: records.iter().filter(of_users).map(worker).collect() })
}

fn worker(record: &Loaded<Instance>) -> WorkerView {
    let (it, age_ms) = (&record.value, record.age_ms);
    WorkerView {
        id: it.id.0.clone(),
        pool: it.pool.0.clone(),
        state: state(it, age_ms).to_owned(),
        epoch: it.epoch,
        slots: it.slots.iter().map(slot).collect(),
        draining_by: it.drain.as_ref().map(|drain| drain.by.clone()),
        draining_since: it.drain.as_ref().map(|drain| drain.at.rfc3339()),
        registered_at: it.registered_at.rfc3339(),
        seen_ms_ago: age_ms,
        version: it.version.clone(),
        pid: it.pid,
    }
}

fn state(it: &Instance, age_ms: u64) -> &'static str {
    let lease_ms = if it.busy() { LEASE_MS } else { LEASE_IDLE_MS };
    match (age_ms >= lease_ms, it.drain.is_some(), it.busy()) {
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
pub(super) async fn pool_sentence(app: &App, pool: &PoolId) -> Result<Option<String>, Fault> {
    if pool.0 == keys::CONTROL_POOL {
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

async fn find(app: &App, id: &str) -> Result<(String, InstanceId), Error> {
    let records = records(app, keys::POOLS).await?;
    let found = records.iter().find(|r| r.value.id.0 == id && r.value.pool.0 != keys::CONTROL_POOL);
    let Some(record) = found else {
        let shown: String = id.chars().take(80).collect();
        return Err(Error::NotFound(format!("there is no worker {shown}")));
    };
    Ok((keys::instance(&record.value.pool, &record.value.id), record.value.id.clone()))
}

/// Marks a worker: it finishes what it has and takes nothing more. The mark and a claim are swaps
/// of one record, so they exclude each other.
pub(crate) async fn drain(app: &App, actor: &str, id: &str) -> Result<Asked, Error> {
    let now = app.now();
    swap(app, actor, id, "drain", |record| match &record.drain {
        Some(drain) => Err(format!("it drains already, marked by {}", drain.by)),
        None => Ok(record.drain(actor, now)),
    })
    .await
}

pub(crate) async fn undrain(app: &App, actor: &str, id: &str) -> Result<Asked, Error> {
    swap(app, actor, id, "undrain", |record| match &record.drain {
        None => Err("it does not drain".to_owned()),
        Some(_) => Ok(record.undrain()),
    })
    .await
}

async fn swap(
    app: &App,
    actor: &str,
    id: &str,
    action: &str,
    change: impl Fn(&Instance) -> Result<Instance, String> + Send + Sync,
) -> Result<Asked, Error> {
    let (key, worker) = find(app, id).await?;
    let event = event_id()?;
    let note = cas::update(&*app.deps.docs, &key, &event.0, |record: Option<&Instance>| {
        let Some(record) = record else { return Ok(Change::Keep(Some("it is gone".to_owned()))) };
        Ok(match change(record) {
            Ok(next) => Change::Write(next, None),
            Err(why) => Change::Keep(Some(why)),
        })
    })
    .await?;
    let changed = note.is_none();
    if changed {
        let entry = AuditEntry {
            id: event.clone(),
            at: app.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            stack: None,
            run: None,
            from: None,
            to: None,
            note: Some(format!("worker {worker}")),
        };
        record(app, entry).await?;
    }
    Ok(Asked { event: event.0, run: None, changed, note })
}

/// Writes down what was done without an actor's decision.
pub(super) async fn record(app: &App, entry: AuditEntry) -> Result<(), Error> {
    let key = keys::audit(entry.at, &entry.id);
    cas::create(&*app.deps.docs, &key, &entry.id.0, &entry).await?;
    Ok(())
}

/// Writes down that somebody read what holds secrets.
pub(super) async fn record_read(
    app: &App,
    actor: &str,
    stack: &StackId,
    action: &str,
) -> Result<(), Error> {
    let entry = AuditEntry {
        id: event_id()?,
        at: app.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        stack: Some(stack.clone()),
        run: None,
        from: None,
        to: None,
        note: None,
    };
    record(app, entry).await
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

pub(crate) async fn audit_list(app: &App, query: &AuditQuery) -> Result<AuditList, Error> {
    let limit = query.limit.unwrap_or(AUDIT_LIMIT).clamp(1, AUDIT_LIMIT_MAX);
    let before = query.after.as_ref().map(|name| format!("{}{name}", keys::AUDIT));
    let key_at = |at: UnixMs| keys::audit(at, &EventId::default());
    let docs = &*app.deps.docs;
    let found = newest(docs, keys::AUDIT, before.as_deref(), limit + 1, app.now(), key_at).await?;
    let mut entries = Vec::new();
    for key in found.iter().take(limit) {
        let entry = cas::load::<AuditEntry>(docs, key).await?;
        entries.extend(entry.map(|found| audit_view(found.value)));
    }
    let last = found.get(limit).and_then(|_| found.get(limit - 1));
    let next = last.and_then(|key| key.strip_prefix(keys::AUDIT)).map(str::to_owned);
    Ok(AuditList { entries, next })
}

fn audit_view(entry: AuditEntry) -> AuditView {
    AuditView {
        id: entry.id.0,
        at: entry.at.rfc3339(),
        actor: entry.actor,
        action: entry.action,
        stack: entry.stack.map(|stack| stack.0),
        run: entry.run.map(|run| run.0),
        from: entry.from,
        to: entry.to,
        note: entry.note,
    }
}

/// A message that was set aside, without its body: that may hold what an answer must not.
#[derive(Deserialize)]
struct SetAside {
    queue: String,
    reason: String,
    at: UnixMs,
}

pub(crate) async fn quarantine(app: &App) -> Result<QuarantineList, Error> {
    let (docs, prefix) = (&*app.deps.docs, keys::quarantine(""));
    let mut messages = Vec::new();
    for key in all(docs, &prefix, None).await?.iter().take(QUARANTINE_MAX) {
        let Some(found) = cas::load::<SetAside>(docs, key).await? else { continue };
        messages.push(QuarantineView {
            id: key.get(prefix.len()..).unwrap_or_default().to_owned(),
            queue: found.value.queue,
            at: found.value.at.rfc3339(),
            reason: found.value.reason,
        });
    }
    messages.sort_by(|a, b| b.at.cmp(&a.at));
    Ok(QuarantineList { messages })
}
