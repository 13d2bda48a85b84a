//! Every document key, blob key, queue and group in one table.
use crate::id::{EventId, InstanceId, PoolId, RepoName, RolloutId, RunId, StackId};
use crate::job::JobId;

/// Intents: what people, clients and repositories ask. FIFO, a group per stack or repository.
pub const INTENTS: &str = "intents.fifo";
/// Reports of workers. FIFO, the same groups.
pub const REPORTS: &str = "reports.fifo";
/// The pool that the control plane serves itself: administrative runs.
pub const CONTROL_POOL: &str = "control";

#[must_use]
pub fn stack_group(stack: &StackId) -> String {
    format!("stack:{stack}")
}
#[must_use]
pub fn repo_group(repo: &RepoName) -> String {
    format!("repo:{repo}")
}
/// A pool's two queues: prioritized and blocking jobs …
#[must_use]
pub fn first_queue(pool: &PoolId) -> String {
    format!("jobs-{pool}-first")
}
/// … and proposed and drift jobs.
#[must_use]
pub fn rest_queue(pool: &PoolId) -> String {
    format!("jobs-{pool}-rest")
}

pub const HEADS: &str = "stacks/";
#[must_use]
pub fn head(stack: &StackId) -> String {
    format!("stacks/{stack}/head.json")
}
#[must_use]
pub fn stack_outputs(stack: &StackId) -> String {
    format!("outputs/{stack}.json")
}
/// One small document per stack, for lists and search: a projection of its head.
pub const SUMMARIES: &str = "summaries/";
#[must_use]
pub fn summary(stack: &StackId) -> String {
    format!("summaries/{stack}.json")
}
#[must_use]
pub fn resources(stack: &StackId) -> String {
    format!("resources/{stack}.json")
}
pub const REPOS: &str = "repos/";
#[must_use]
pub fn repo(repo: &RepoName) -> String {
    format!("repos/{repo}.json")
}
pub const RUNS: &str = "runs/";
#[must_use]
pub fn run(run: &RunId) -> String {
    format!("runs/{run}.json")
}
/// The runs of one stack, oldest first: empty documents whose key is the fact.
#[must_use]
pub fn stack_runs(stack: &StackId) -> String {
    format!("stack-runs/{stack}/")
}
#[must_use]
pub fn stack_run(stack: &StackId, run: &RunId) -> String {
    format!("stack-runs/{stack}/{run}")
}
pub const ROLLOUTS: &str = "rollouts/";
#[must_use]
pub fn rollout(rollout: &RolloutId) -> String {
    format!("rollouts/{rollout}.json")
}
#[must_use]
pub fn job(job: &JobId, part: &str) -> String {
    format!("jobs/{job}/{part}")
}
#[must_use]
pub fn job_spec(id: &JobId) -> String {
    job(id, "spec")
}
#[must_use]
pub fn job_claim(id: &JobId) -> String {
    job(id, "claim")
}
#[must_use]
pub fn job_control(id: &JobId) -> String {
    job(id, "control")
}
#[must_use]
pub fn job_result(id: &JobId) -> String {
    job(id, "result")
}
/// What a worker that was declared lost had to say after all: evidence, changes nothing.
#[must_use]
pub fn job_late_result(id: &JobId) -> String {
    job(id, "late-result")
}
/// Proof that whoever had this job is gone.
#[must_use]
pub fn job_gone(id: &JobId) -> String {
    job(id, "gone")
}
/// State locks that the job's tool was seen to hold.
#[must_use]
pub fn job_lock(id: &JobId) -> String {
    job(id, "lock")
}
pub const POOLS: &str = "pools/";
#[must_use]
pub fn instances(pool: &PoolId) -> String {
    format!("pools/{pool}/instances/")
}
#[must_use]
pub fn instance(pool: &PoolId, id: &InstanceId) -> String {
    format!("pools/{pool}/instances/{id}.json")
}
/// What the ticks of a pool's fleet leave for each other: who decides, and what was decided last.
#[must_use]
pub fn fleet_ledger(pool: &PoolId) -> String {
    format!("fleet/{pool}/ledger.json")
}
/// Machines of this pool that a lifecycle hook holds, or held.
#[must_use]
pub fn drains(pool: &PoolId) -> String {
    format!("fleet/{pool}/drains/")
}
#[must_use]
pub fn drain(pool: &PoolId, instance: &InstanceId) -> String {
    format!("fleet/{pool}/drains/{instance}.json")
}
/// Groups to wake once this minute has passed.
pub const DUE: &str = "due/";
#[must_use]
pub fn due(minute: u64, group: &str) -> String {
    format!("due/{minute:012}/{group}")
}
/// The minute and group of a due key.
#[must_use]
pub fn parse_due(key: &str) -> Option<(u64, &str)> {
    let (minute, group) = key.strip_prefix(DUE)?.split_once('/')?;
    Some((minute.parse().ok()?, group))
}
/// Who takes part in drift detection right now: places taken, and tickets of those that wait.
pub const DRIFT: &str = "drift/";
/// One place of a pool's drift budget: whoever creates it has it.
#[must_use]
pub fn drift_place(pool: &PoolId, place: u32) -> String {
    format!("drift/places/{pool}/{place:04}")
}
/// A stack whose look fell due in this minute and that waits for a place: the oldest come first.
#[must_use]
pub fn drift_ticket(pool: &PoolId, minute: u64, stack: &StackId) -> String {
    format!("drift/tickets/{pool}/{minute:012}/{stack}")
}
/// Greater than every ticket of this pool, smaller than the next pool's.
#[must_use]
pub fn drift_tickets_end(pool: &PoolId) -> String {
    format!("drift/tickets/{pool}/~")
}
/// What a key under [`DRIFT`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriftKey {
    Place { pool: PoolId, place: u32 },
    Ticket { pool: PoolId, minute: u64, stack: StackId },
}
#[must_use]
pub fn parse_drift(key: &str) -> Option<DriftKey> {
    let parts: Vec<&str> = key.strip_prefix(DRIFT)?.split('/').collect();
    match parts.as_slice() {
        ["places", pool, place] => {
            Some(DriftKey::Place { pool: (*pool).into(), place: place.parse().ok()? })
        }
        ["tickets", pool, minute, stack] => Some(DriftKey::Ticket {
            pool: (*pool).into(),
            minute: minute.parse().ok()?,
            stack: (*stack).into(),
        }),
        _ => None,
    }
}
/// What a forge sent: its body lies where the tick looks, in the minute after which somebody has to
/// ask what became of it; deleted once its outcome is known (rule W1).
#[must_use]
pub fn delivery_body(minute: u64, delivery: &str, repo: &RepoName) -> String {
    due(minute, &delivery_group(delivery, repo))
}
/// The group under which a delivery's body waits: `delivery:<id>:<repo>`. It says all that a pointer
/// to it says, so that the tick need not read bodies of megabytes to send pointers again.
#[must_use]
pub fn delivery_group(delivery: &str, repo: &RepoName) -> String {
    format!("delivery:{delivery}:{repo}")
}
/// The delivery and the repository of such a group.
#[must_use]
pub fn parse_delivery(group: &str) -> Option<(&str, RepoName)> {
    let (delivery, repo) = group.strip_prefix("delivery:")?.split_once(':')?;
    Some((delivery, RepoName::from(repo)))
}
/// The body of a delivery that was refused, for whoever tries it again.
#[must_use]
pub fn delivery_refused(delivery: &str) -> String {
    format!("deliveries/{delivery}/refused")
}
/// That a delivery was taken: written after its pointer was queued.
#[must_use]
pub fn delivery_mark(delivery: &str) -> String {
    format!("deliveries/{delivery}/seen")
}
/// What became of a delivery: written once.
#[must_use]
pub fn delivery_outcome(delivery: &str) -> String {
    format!("deliveries/{delivery}/outcome")
}
pub const AUDIT: &str = "audit/";
#[must_use]
pub fn audit(at: crate::time::UnixMs, id: &EventId) -> String {
    format!("audit/{:015}-{id}", at.0)
}
#[must_use]
pub fn quarantine(id: &str) -> String {
    format!("quarantine/{id}")
}
/// API keys by id: who may come in from elsewhere.
pub const API_KEYS: &str = "keys/";
#[must_use]
pub fn api_key(id: &str) -> String {
    format!("keys/{id}")
}
/// Tokens, sessions and login links: named by when they end and the digest of what their holder has,
/// so that those that have ended come first in a list.
pub const SESSIONS: &str = "sessions/";
pub const DEFINITIONS: &str = "definitions/";
/// What the definitions of one repository last became.
#[must_use]
pub fn definitions(repo: &RepoName) -> String {
    format!("definitions/{repo}.json")
}
/// Who owns each slug, and who waits for whom, over all repositories.
pub const CATALOG: &str = "index/catalog.json";
/// What the definitions say about a pool.
#[must_use]
pub fn pool_settings(pool: &PoolId) -> String {
    format!("index/pools/{pool}.json")
}
/// What a push to one repository is routed by.
#[must_use]
pub fn repo_index(repo: &RepoName) -> String {
    format!("index/repos/{repo}.json")
}

// Blobs.

/// Parts of one step's log. A part's name is the offset of its first byte, so that a list of
/// names is a table of contents: `logs/<run>/<job>/<step>/<offset, 12 digits>`.
#[must_use]
pub fn log_parts(job: &JobId, step: crate::job::Step) -> String {
    format!("logs/{}/{job}/{}/", job.run, step.as_str())
}
#[must_use]
pub fn log_part(job: &JobId, step: crate::job::Step, offset: u64) -> String {
    format!("{}{offset:012}", log_parts(job, step))
}
/// All logs of a run.
#[must_use]
pub fn run_logs(run: &RunId) -> String {
    format!("logs/{run}/")
}
/// A commit's code, for workers that hold no key to the forge.
#[must_use]
pub fn code_archive(repo: &RepoName, sha: &crate::id::Sha) -> String {
    format!("archives/{repo}/{sha}.tar.gz")
}
/// A stack's managed state: plain Terraform state.
#[must_use]
pub fn state(stack: &StackId) -> String {
    format!("state/{stack}/terraform.tfstate")
}
/// The states of a stack's workspaces: `<this>/<workspace>/<key of the default one>`, because that
/// is how the tool's S3 backend puts them together.
#[must_use]
pub fn state_workspaces(stack: &StackId) -> String {
    format!("state/{stack}/workspaces")
}
/// The managed state of one workspace.
#[must_use]
pub fn workspace_state(stack: &StackId, workspace: &str) -> String {
    match workspace {
        "" | "default" => state(stack),
        other => format!("{}/{other}/{}", state_workspaces(stack), state(stack)),
    }
}
/// The tool's own lock beside a state.
#[must_use]
pub fn state_lock(state: &str) -> String {
    format!("{state}.tflock")
}
/// A state that a job's tool could not store: beside the state that it was meant for, and kept like
/// it.
#[must_use]
pub fn errored_state(stack: &StackId, job: &JobId) -> String {
    format!("state/{stack}/errored/{job}.tfstate")
}
/// Work tree and plan, handed from plan to apply; deleted when the run ends.
#[must_use]
pub fn plan_archive(job: &JobId) -> String {
    format!("plans/{}/{job}.tar.zst", job.run)
}
/// The stripped plan ([`crate::changes::Changes`]).
#[must_use]
pub fn plan_changes(job: &JobId) -> String {
    format!("changes/{}/{job}.json", job.run)
}
/// Values of outputs, sensitive ones included: as private as a state file.
#[must_use]
pub fn output_values(stack: &StackId, job: &JobId) -> String {
    format!("private/outputs/{stack}/{job}.json")
}
/// The body of a message that is too large for its queue. It ends by a lifecycle rule, once no
/// queue can hold the message any more.
pub const MESSAGES: &str = "messages/";
#[must_use]
pub fn message_body(id: &str) -> String {
    format!("{MESSAGES}{id}")
}
#[must_use]
pub fn resource_list(job: &JobId) -> String {
    format!("state-lists/{}/{job}.json", job.run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_keys_sort_by_minute_and_parse_back() {
        assert!(due(9, "stack:b") < due(10, "stack:a"));
        assert_eq!(parse_due(&due(29_922_375, "stack:a-b")), Some((29_922_375, "stack:a-b")));
        assert_eq!(parse_due("due/x/y"), None);
    }

    #[test]
    fn the_key_of_a_body_says_whose_it_is() {
        let key = delivery_body(7, "72d3162e-cc78", &"infra".into());
        assert_eq!(key, "due/000000000007/delivery:72d3162e-cc78:infra");
        let (minute, group) = parse_due(&key).unwrap();
        assert_eq!((minute, parse_delivery(group)), (7, Some(("72d3162e-cc78", "infra".into()))));
        assert_eq!(parse_delivery("stack:a"), None);
    }

    #[test]
    fn drift_keys_parse_back_places_first_and_the_oldest_ticket_before_others() {
        let (pool, stack) = (PoolId::from("p"), StackId::from("a-b"));
        let (place, ticket) = (drift_place(&pool, 10), drift_ticket(&pool, 29_922_375, &stack));
        assert!(place < ticket && ticket < drift_ticket(&pool, 29_922_376, &"a".into()));
        assert!(drift_place(&pool, 9) < place);
        assert_eq!(parse_drift(&place), Some(DriftKey::Place { pool: pool.clone(), place: 10 }));
        let parsed = DriftKey::Ticket { pool, minute: 29_922_375, stack };
        assert_eq!(parse_drift(&ticket), Some(parsed));
        assert_eq!(parse_drift("drift/x/y/z"), None);
    }
}
