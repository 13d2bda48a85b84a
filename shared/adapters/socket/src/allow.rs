//! May this worker make this call? What IAM says on AWS, decided here from stored facts.
//!
//! A worker reads its pool's jobs, writes its own record, claims what is unclaimed, and writes
//! under a job's keys only after it claimed that job. Secrets, plans and parents' outputs are open
//! to it while a job that names them is its own and has not ended. All else is denied.
use crate::wire::Call;
use serde::de::DeserializeOwned;
use windlass_core::definition::EnvValue;
use windlass_core::id::{InstanceId, PoolId};
use windlass_core::instance::Instance;
use windlass_core::job::{Claim, JobResult, JobSpec, News, Report, Step, Verdict};
use windlass_core::keys;
use windlass_ports::cas::Stored;

/// Which stored facts a decision wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// Those of the job with this id, as its keys spell it.
    Job(String),
    /// Those of every job in a busy slot of the worker's own record.
    Held,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub jobs: Vec<JobFacts>,
}

/// What is stored about one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// As its keys spell it.
    pub id: String,
    pub spec: Option<JobSpec>,
    pub claim: Option<Claim>,
    /// A result exists.
    pub ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not allowed: {0}")]
pub struct Denied(pub String);

/// The facts that [`allowed`] will ask for.
#[must_use]
pub fn needs(call: &Call, body: &[u8]) -> Needs {
    let job = |id: &str| Needs::Job(id.to_owned());
    match call {
        Call::GetDoc { key } | Call::PutDoc { key, .. } => {
            job_key(key).map_or(Needs::Nothing, |(id, _)| job(id))
        }
        Call::Send { .. } => {
            parse::<Report>(body).map_or(Needs::Nothing, |report| job(&report.job.to_string()))
        }
        Call::PutBlob { key } => job_of_blob(key).map_or(Needs::Nothing, job),
        Call::GetBlob { .. } | Call::GetSecret { .. } => Needs::Held,
        _ => Needs::Nothing,
    }
}

/// Decides one call of `worker` of `pool`.
pub fn allowed(
    worker: &InstanceId,
    pool: &PoolId,
    call: &Call,
    body: &[u8],
    facts: &Facts,
) -> Result<(), Denied> {
    let who = Who { worker, pool, facts };
    let verdict = match call {
        Call::GetDoc { key } => who.may_get_doc(key),
        Call::PutDoc { key, at } => who.may_put_doc(key, at.as_deref(), body),
        Call::Send { queue, group, delay_ms, .. } => {
            who.may_send(queue, group.as_deref(), *delay_ms, body)
        }
        Call::Receive { queue, .. } | Call::Delete { queue, .. } | Call::Extend { queue, .. } => {
            let own = [keys::first_queue(pool), keys::rest_queue(pool)];
            need(own.contains(queue), "it is not a queue of its pool")
        }
        Call::PutBlob { key } => who.may_put_blob(key),
        Call::GetBlob { key } => {
            need(who.working_on(|spec| names_blob(spec, key)), "no job that it works on names it")
        }
        Call::GetSecret { name } => need(
            who.working_on(|spec| names_secret(spec, name)),
            "no job that it works on names it",
        ),
        Call::DeleteDoc { .. }
        | Call::ListDocs { .. }
        | Call::Depth { .. }
        | Call::ListBlobs { .. }
        | Call::DeleteBlob { .. }
        | Call::SetSecret { .. }
        | Call::RemoveSecret { .. }
        | Call::ListSecrets => Err("no worker may"),
    };
    verdict.map_err(|why| {
        Denied(format!("worker {worker} of pool {pool} may not {}: {why}", describe(call)))
    })
}

/// Why not, as the end of a sentence.
type Ruling = Result<(), &'static str>;

fn need(condition: bool, otherwise: &'static str) -> Ruling {
    if condition { Ok(()) } else { Err(otherwise) }
}

struct Who<'a> {
    worker: &'a InstanceId,
    pool: &'a PoolId,
    facts: &'a Facts,
}

impl Who<'_> {
    fn may_get_doc(&self, key: &str) -> Ruling {
        if key == keys::instance(self.pool, self.worker) {
            return Ok(());
        }
        let Some((id, part)) = job_key(key) else {
            return Err("it is neither its own record nor part of a job");
        };
        let parts = ["spec", "claim", "control", "result", "late-result"];
        need(parts.contains(&part), "a job has no such part")?;
        // A pointer can outlive its job: that nothing is there is no secret.
        let spec = self.job(id).and_then(|job| job.spec.as_ref());
        need(spec.is_none_or(|spec| spec.pool == *self.pool), "the job is another pool's")
    }

    fn may_put_doc(&self, key: &str, at: Option<&str>, body: &[u8]) -> Ruling {
        if key == keys::instance(self.pool, self.worker) {
            let record: Instance = stored(body).ok_or("the body is no record of a worker")?;
            let own = record.id == *self.worker && record.pool == *self.pool;
            return need(own, "the record names another worker or pool");
        }
        let Some((id, part)) = job_key(key) else {
            return Err("it is neither its own record nor part of a job");
        };
        let job = self.job(id).ok_or("there is no such job")?;
        let spec = job.spec.as_ref().ok_or("there is no such job")?;
        need(at.is_none(), "it may only be created")?;
        match part {
            "claim" => self.may_claim(spec, body),
            "result" | "late-result" => {
                need(self.claimed(job), "the job is not claimed by it")?;
                let result: JobResult = stored(body).ok_or("the body is no result of a job")?;
                self.may_result(spec, &result)
            }
            _ => Err("it may write no such part of a job"),
        }
    }

    fn may_claim(&self, spec: &JobSpec, body: &[u8]) -> Ruling {
        need(spec.pool == *self.pool, "the job is another pool's")?;
        let claim: Claim = stored(body).ok_or("the body is no claim")?;
        need(self.names_me(&claim), "the claim names another worker or pool")
    }

    /// A result speaks of its own job, in its own words, and leads only to its own blobs: what it
    /// names is later read by others.
    fn may_result(&self, spec: &JobSpec, result: &JobResult) -> Ruling {
        let same_job = result.job == spec.id && result.stack == spec.stack;
        need(same_job, "the result is another job's")?;
        let me = result.worker.as_ref().is_none_or(|worker| worker == self.worker);
        need(me, "the result names another worker")?;
        // It may call its own attempt lost (it was told to leave it); a tombstone is not its to make.
        let cancelled = result.verdict == Verdict::Cancelled;
        need(!cancelled, "only the control plane declares a job cancelled")?;
        let shown = spec.plan.as_ref().map(|plan| plan.key.as_str());
        let plan = result.plan.as_ref().map(|plan| plan.key.as_str());
        let outputs = result.outputs.as_ref().map(|outputs| outputs.key.as_str());
        let is = |key: Option<&str>, own: String| key.is_none_or(|key| key == own);
        let own = (plan == shown || is(plan, keys::plan_archive(&spec.id)))
            && is(result.changes_key.as_deref(), keys::plan_changes(&spec.id))
            && is(
                outputs.filter(|key| !key.is_empty()),
                keys::output_values(&spec.stack, &spec.id),
            )
            && is(result.resources_key.as_deref(), keys::resource_list(&spec.id));
        need(own, "the result names a blob that is not its job's")
    }

    fn may_send(&self, queue: &str, group: Option<&str>, delay_ms: u64, body: &[u8]) -> Ruling {
        need(queue == keys::REPORTS, "it may send to the reports only")?;
        let report: Report = parse(body).ok_or("the body is no report")?;
        need(report.worker == *self.worker, "the report names another worker")?;
        need(delay_ms == 0, "a report is not delayed")?;
        let own_group = group == Some(keys::stack_group(&report.stack).as_str());
        need(own_group, "the group is not that of the report's stack")?;
        let job = self.job(&report.job.to_string()).ok_or("there is no such job")?;
        let spec = job.spec.as_ref().ok_or("there is no such job")?;
        need(spec.id == report.job && spec.stack == report.stack, "the job is another stack's")?;
        // Whoever finds a result says so again before it drops the pointer (rule B4).
        let again = report.news == News::Ended && job.ended && spec.pool == *self.pool;
        need(again || self.claimed(job), "the job is not claimed by it")
    }

    fn may_put_blob(&self, key: &str) -> Ruling {
        let job = job_of_blob(key).and_then(|id| self.job(id)).ok_or("it is no blob of a job")?;
        let spec = job.spec.as_ref().ok_or("there is no such job")?;
        need(self.claimed(job), "the job is not claimed by it")?;
        let own = [
            keys::plan_archive(&spec.id),
            keys::plan_changes(&spec.id),
            keys::resource_list(&spec.id),
            keys::output_values(&spec.stack, &spec.id),
        ];
        // A plan writes no state, so it has none that it could not store.
        let errored =
            !spec.id.phase.repeatable() && key == keys::errored_state(&spec.stack, &spec.id);
        let own = own.iter().any(|own| own == key) || is_log_part(spec, key) || errored;
        need(own, "it is no blob of this job")
    }

    fn job(&self, id: &str) -> Option<&JobFacts> {
        self.facts.jobs.iter().find(|job| job.id == id)
    }

    fn claimed(&self, job: &JobFacts) -> bool {
        job.claim.as_ref().is_some_and(|claim| self.names_me(claim))
    }

    fn names_me(&self, claim: &Claim) -> bool {
        matches!(claim, Claim::Held { pool, worker, .. }
            if pool == self.pool && worker == self.worker)
    }

    fn working_on(&self, names: impl Fn(&JobSpec) -> bool) -> bool {
        let mine = self.facts.jobs.iter().filter(|job| !job.ended && self.claimed(job));
        mine.filter_map(|job| job.spec.as_ref()).any(names)
    }
}

fn names_blob(spec: &JobSpec, key: &str) -> bool {
    spec.plan.as_ref().is_some_and(|plan| plan.key == key)
        || spec.inputs.iter().any(|input| input.outputs_key == key)
}

fn names_secret(spec: &JobSpec, name: &str) -> bool {
    spec.env.iter().any(|var| matches!(&var.value, EnvValue::Secret(own) if own == name))
}

/// `jobs/<id>/<part>`.
fn job_key(key: &str) -> Option<(&str, &str)> {
    let (id, part) = key.strip_prefix("jobs/")?.split_once('/')?;
    (!id.is_empty() && !part.contains('/')).then_some((id, part))
}

/// The job's id inside a blob's key, wherever that kind of blob has it. Only a hint of which facts
/// to load: whether the key is that job's is told by making the job's keys.
fn job_of_blob(key: &str) -> Option<&str> {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["logs", _run, job, _step, _offset] => Some(*job),
        ["plans", _run, file] => file.strip_suffix(".tar.zst"),
        ["changes" | "state-lists", _run, file] => file.strip_suffix(".json"),
        ["private", "outputs", _stack, file] => file.strip_suffix(".json"),
        ["state", _stack, "errored", file] => file.strip_suffix(".tfstate"),
        _ => None,
    }
}

fn is_log_part(spec: &JobSpec, key: &str) -> bool {
    const STEPS: [Step; 6] = [
        Step::Preparing,
        Step::Initializing,
        Step::Planning,
        Step::Applying,
        Step::Destroying,
        Step::Performing,
    ];
    STEPS.iter().any(|step| {
        let offset = key.strip_prefix(keys::log_parts(&spec.id, *step).as_str());
        offset.is_some_and(|o| o.len() == 12 && o.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn stored<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    parse::<Stored<T>>(body).map(|stored| stored.value)
}

fn describe(call: &Call) -> String {
    match call {
        Call::GetDoc { key } => format!("read the document {key}"),
        Call::PutDoc { key, .. } => format!("write the document {key}"),
        Call::DeleteDoc { key, .. } => format!("delete the document {key}"),
        Call::ListDocs { prefix, .. } => format!("list the documents {prefix}"),
        Call::Send { queue, .. } => format!("send this to the queue {queue}"),
        Call::Receive { queue, .. } => format!("receive from the queue {queue}"),
        Call::Delete { queue, .. } => format!("delete from the queue {queue}"),
        Call::Extend { queue, .. } => format!("extend a message of the queue {queue}"),
        Call::Depth { queue } => format!("measure the queue {queue}"),
        Call::PutBlob { key } => format!("write the blob {key}"),
        Call::GetBlob { key } => format!("read the blob {key}"),
        Call::ListBlobs { prefix, .. } => format!("list the blobs {prefix}"),
        Call::DeleteBlob { key } => format!("delete the blob {key}"),
        Call::GetSecret { name } => format!("read the secret {name}"),
        Call::SetSecret { name } => format!("set the secret {name}"),
        Call::RemoveSecret { name } => format!("remove the secret {name}"),
        Call::ListSecrets => "list the secrets".to_owned(),
    }
}
