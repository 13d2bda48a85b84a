//! What was delivered and may stay on a head's list, because the next commit takes it off.
use crate::Deps;
use std::collections::BTreeSet;
use windlass_core::effect::{Effect, Entry, Stage};
use windlass_core::id::EffectId;
use windlass_ports::Fault;
use windlass_ports::cas::At;

/// What a decision came after.
pub(crate) struct Since {
    /// What was owed before it, as far as this process knows.
    pub(crate) owed: BTreeSet<EffectId>,
    /// A report of a step that only passes.
    pub(crate) passing: bool,
}

impl Since {
    /// Whether what was delivered may stay on the list until the next commit. It may where a worker's
    /// report is sure to follow, which commits anyway: after one that only passes, projections may
    /// (delivered by another process first, they change nothing); and when a job was handed out just
    /// now, that too, since its first report strikes it, and what is told of it.
    /// A message that is delivered again is dearer than the swap, so all else is struck at once, and
    /// so is what was left once already: nothing is repeated twice.
    pub(crate) fn may_leave(&self, outbox: &[Entry]) -> bool {
        let facts = |entry: &Entry| entry.effect.stage() == Stage::Facts;
        let hands_out = |entry: &Entry| matches!(entry.effect, Effect::SendJob { .. });
        let with_job = |entry: &Entry| {
            let told = matches!(entry.effect, Effect::SetStatus { .. } | Effect::Audit { .. });
            (hands_out(entry) || told) && !self.owed.contains(&entry.id)
        };
        (self.passing && outbox.iter().all(facts))
            || (outbox.iter().any(hands_out)
                && outbox.iter().all(|entry| facts(entry) || with_job(entry)))
    }
}

/// Nothing newer was told at a forge before what we just told there: the strike would find that out,
/// and a look does, for less.
pub(crate) async fn has_last_word(
    deps: &Deps,
    key: &str,
    at: &At,
    outbox: &[Entry],
) -> Result<bool, Fault> {
    if !outbox.iter().any(|entry| entry.effect.stage() == Stage::Forge) {
        return Ok(true);
    }
    let found = deps.docs.get(key).await?;
    Ok(found.is_some_and(|found| found.version == at.version))
}
