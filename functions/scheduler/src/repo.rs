//! One event of one repository: load, decide, commit, act.
use crate::{Deps, deliver, tick};
use windlass_core::event::{RepoEnvelope, RepoEvent};
use windlass_core::index::RepoIndex;
use windlass_core::keys;
use windlass_core::repo::{RepoFacts, RepoHead, decide, wants};
use windlass_core::run::Run;
use windlass_core::stack::Answer;
use windlass_ports::Fault;
use windlass_ports::cas::{self, CAS_ATTEMPTS_MAX, Loaded};

/// Handles one event to its end; as [`crate::stack_event`].
///
/// # Errors
/// `Retryable` when a store is away or somebody else keeps writing; `Poison` for a repository that
/// is not served here, or a document that does not parse.
pub async fn event(deps: &Deps, envelope: &RepoEnvelope) -> Result<Answer, Fault> {
    let repository = deps.repositories.iter().find(|known| known.name == envelope.repo);
    let Some(repository) = repository else {
        return Err(Fault::poison(format!("the repository {} is not served here", envelope.repo)));
    };
    let (key, group) = (keys::repo(&envelope.repo), keys::repo_group(&envelope.repo));
    for _ in 0..CAS_ATTEMPTS_MAX {
        let before = cas::load::<RepoHead>(&*deps.docs, &key).await?;
        let mut at = before.as_ref().map(Loaded::at);
        let mut head = before.map_or_else(
            || RepoHead::new(&envelope.repo, &repository.default_branch),
            |found| found.value,
        );
        // Whoever runs this says which branch it is, today.
        head.default_branch.clone_from(&repository.default_branch);
        let filed = head.due_minute;
        let facts = load(deps, &head, envelope).await?;
        let decision = decide(head, envelope, &facts, deps.clock.now());
        tracing::debug!(
            repo = %envelope.repo, event_id = %envelope.id, changed = decision.changed,
            revision = decision.head.revision, answer = ?decision.answer, "decided"
        );
        if decision.changed {
            // What woke us was struck, so the same minute (the clock may have been set back) is
            // filed anew.
            let woken = envelope.event == RepoEvent::Due;
            if let Some(minute) = decision.head.due_minute.filter(|m| woken || filed != Some(*m)) {
                tick::file(deps, minute, &group).await?;
            }
            let write_id = deps.write_ids.next();
            let docs = &*deps.docs;
            at = cas::swap(docs, &key, at.as_ref(), &decision.head, &write_id).await?;
            if at.is_none() {
                continue;
            }
            deps.wake.notify_waiters();
        }
        if let Some(at) = at {
            deliver::repo_outbox(deps, &key, (at, decision.head)).await?;
        }
        return Ok(decision.answer);
    }
    Err(Fault::retryable(format!("{key} changed under every attempt to write it")))
}

async fn load(deps: &Deps, head: &RepoHead, envelope: &RepoEnvelope) -> Result<RepoFacts, Fault> {
    let wants = wants(head, envelope);
    let mut facts = RepoFacts::default();
    if wants.index {
        let index = cas::load::<RepoIndex>(&*deps.docs, &keys::repo_index(&envelope.repo)).await?;
        facts.index = index.map(|found| found.value).unwrap_or_default();
    }
    if let Some(run) = wants.run {
        let run = cas::load::<Run>(&*deps.docs, &keys::run(&run)).await?;
        facts.run = run.map(|found| found.value);
    }
    Ok(facts)
}
