//! The load beat: what `core::stack::wants` names, from wherever it lies.
use crate::Deps;
use windlass_core::id::RunId;
use windlass_core::instance::Instance;
use windlass_core::job::{Claim, JobId, JobResult};
use windlass_core::keys;
use windlass_core::run::Run;
use windlass_core::stack::{Attempted, Facts, Record, StackOutputs, Wants};
use windlass_core::verdict::Verdict;
use windlass_ports::{Evidence, Fault, cas};

/// A line of tries is followed this far; each step is a retry that somebody asked for.
const TRIES_MAX: usize = 1_000;

pub(crate) async fn load(deps: &Deps, wants: &Wants) -> Result<Facts, Fault> {
    let heard = deps.forge.hears();
    let mut facts = Facts { verdict: Verdict::none(), heard, ..Facts::default() };
    for run in &wants.runs {
        load_line(deps, run, &mut facts).await?;
    }
    for job in &wants.results {
        let key = keys::job_result(job);
        if let Some(result) = cas::load::<JobResult>(&*deps.docs, &key).await? {
            facts.results.insert(job.clone(), result.value);
        }
    }
    for job in &wants.attempts {
        facts.attempts.insert(job.clone(), attempted(deps, job).await?);
    }
    for stack in &wants.outputs {
        let key = keys::stack_outputs(stack);
        if let Some(outputs) = cas::load::<StackOutputs>(&*deps.docs, &key).await? {
            facts.outputs.insert(stack.clone(), outputs.value);
        }
    }
    if let Some((at, event)) = &wants.audit {
        facts.audited = deps.docs.get(&keys::audit(*at, event)).await?.is_some();
    }
    Ok(facts)
}

/// A run and the newer tries that took its place.
async fn load_line(deps: &Deps, run: &RunId, facts: &mut Facts) -> Result<(), Fault> {
    let mut next = Some(run.clone());
    for _ in 0..TRIES_MAX {
        let Some(id) = next.take().filter(|id| !facts.runs.contains_key(id)) else { break };
        if let Some(run) = cas::load::<Run>(&*deps.docs, &keys::run(&id)).await? {
            next.clone_from(&run.value.superseded_by);
            facts.runs.insert(id, run.value);
        }
    }
    Ok(())
}

async fn attempted(deps: &Deps, job: &JobId) -> Result<Attempted, Fault> {
    let claim = cas::load::<Claim>(&*deps.docs, &keys::job_claim(job)).await?;
    let Some(found) = claim else { return Ok(Attempted::Unclaimed) };
    let (claim, claim_age_ms) = (found.value, found.age_ms);
    let Claim::Held { pool, worker, .. } = &claim else {
        let (record, worker_gone) = (None, None);
        let tool_gone = true;
        return Ok(Attempted::Claimed { claim, claim_age_ms, record, worker_gone, tool_gone });
    };
    let found = cas::load::<Instance>(&*deps.docs, &keys::instance(pool, worker)).await?;
    // The control plane's own jobs are resumed where it starts again, never declared lost.
    let own = pool.as_str() == keys::CONTROL_POOL;
    let record = found
        .map(|found| Record { age_ms: if own { 0 } else { found.age_ms }, instance: found.value });
    let worker_gone = match deps.presence.worker(job, &claim).await? {
        Evidence::Gone { cause } if !own => Some(cause),
        _ => None,
    };
    let tool_gone = matches!(deps.presence.tool(job, &claim).await?, Evidence::Gone { .. });
    Ok(Attempted::Claimed { claim, claim_age_ms, record, worker_gone, tool_gone })
}
