//! Rollouts: one push or trigger, its runs as they are now, parents before their dependents.
use super::list::{all, load_many};
use super::runs::newest_try;
use super::sight::Sight;
use super::stacks::repositories;
use super::{App, Error, view};
use crate::auth::Who;
use crate::v1::{CommitDetail, RolloutList, RolloutRunView, RolloutView};
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use windlass_core::id::RunId;
use windlass_core::keys;
use windlass_core::rollout::{Rollout, RolloutRun};
use windlass_core::time::UnixMs;
use windlass_ports::{Fault, cas};

const LIMIT: usize = 20;
const LIMIT_MAX: usize = 50;
/// Somebody who sees few of them gets what was found among so many, and a cursor.
const LOOKED_AT_MAX: usize = 200;
/// As many digits as make a prefix worth looking for.
const SHA_CHARS_MIN: usize = 4;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RolloutQuery {
    pub(crate) repository: String,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

/// When each rollout was: they are written once, so what was read stays true.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeMap<String, UnixMs>>);

impl Known {
    /// The time of each of these, newest first.
    async fn dated(
        &self,
        app: &App,
        keys: Vec<String>,
    ) -> Result<Vec<(Reverse<UnixMs>, String)>, Fault> {
        let unknown: Vec<String> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            keys.iter().filter(|key| !known.contains_key(*key)).cloned().collect()
        };
        let found = load_many::<Rollout>(&*app.deps.docs, &unknown).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, found) in unknown.into_iter().zip(found) {
            known.extend(found.map(|found| (key, found.value.at)));
        }
        let at = |key: String| Some((Reverse(*known.get(&key)?), key));
        let mut dated: Vec<_> = keys.into_iter().filter_map(at).collect();
        dated.sort_unstable();
        Ok(dated)
    }
}

pub(crate) async fn rollouts(
    app: &App,
    who: &Who,
    query: &RolloutQuery,
) -> Result<RolloutList, Error> {
    let sight = Sight::of(app, who).await?;
    let prefix = match query.repository.as_str() {
        "" => keys::ROLLOUTS.to_owned(),
        repository => format!("{}{repository}/", keys::ROLLOUTS),
    };
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let look_at = if sight.is_everything() { limit + 1 } else { LOOKED_AT_MAX };
    let page = newest_first(app, &prefix, query.after.as_deref(), look_at).await?;
    let (mut rollouts, mut last, mut more) = (Vec::new(), None, false);
    for key in &page {
        if rollouts.len() == limit {
            more = true;
            break;
        }
        last = Some(key);
        rollouts.extend(shown(app, &sight, key).await?);
    }
    let last = last.filter(|_| more || page.len() == look_at);
    Ok(RolloutList { rollouts, next: last.and_then(|key| id_of(key)) })
}

fn id_of(key: &str) -> Option<String> {
    Some(key.strip_prefix(keys::ROLLOUTS)?.strip_suffix(".json")?.to_owned())
}

async fn newest_first(
    app: &App,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    let found = all(&*app.deps.docs, prefix, None).await?;
    let dated = app.rollouts.dated(app, found).await?;
    let skip = after.map_or(0, |after| {
        let place = dated.iter().position(|(_, key)| id_of(key).as_deref() == Some(after));
        place.map_or(0, |place| place + 1)
    });
    Ok(dated.into_iter().skip(skip).take(limit).map(|(_, key)| key).collect())
}

async fn shown(app: &App, sight: &Sight, key: &str) -> Result<Option<RolloutView>, Error> {
    let found = cas::load::<Rollout>(&*app.deps.docs, key).await?;
    match found.and_then(|found| visible(sight, found.value)) {
        None => Ok(None),
        Some(rollout) => Ok(Some(rollout_view(app, sight, &rollout).await?)),
    }
}

/// What the caller may know of it: the runs of their stacks. None: nothing.
fn visible(sight: &Sight, mut rollout: Rollout) -> Option<Rollout> {
    if sight.is_everything() {
        return Some(rollout);
    }
    rollout.runs.retain(|run| sight.sees(&run.stack));
    for run in &mut rollout.runs {
        sight.blur_new(&mut run.run);
    }
    (!rollout.runs.is_empty()).then_some(rollout)
}

/// Every time a commit was routed. Any prefix that means one commit will do.
pub(crate) async fn commit(app: &App, who: &Who, sha: &str) -> Result<CommitDetail, Error> {
    let sight = Sight::of(app, who).await?;
    let sha = sha.to_ascii_lowercase();
    let unknown = || Error::NotFound(format!("no commit {sha} has been seen here"));
    let is_hex = sha.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex || sha.len() < SHA_CHARS_MIN || sha.len() > 64 {
        return Err(unknown());
    }
    let mut keys_found = Vec::new();
    for repository in repositories(app).await? {
        let prefix = format!("{}{repository}/{sha}", keys::ROLLOUTS);
        keys_found.extend(all(&*app.deps.docs, &prefix, None).await?);
    }
    let mut found = Vec::new();
    for key in &keys_found {
        if let Some(loaded) = cas::load::<Rollout>(&*app.deps.docs, key).await? {
            found.extend(visible(&sight, loaded.value));
        }
    }
    let shas: BTreeSet<&str> = found.iter().map(|r| r.commit.sha.as_str()).collect();
    if shas.len() > 1 {
        let shorts: Vec<&str> = shas.iter().map(|sha| sha.get(..12).unwrap_or(sha)).collect();
        return Err(Error::Invalid(format!("{sha} is short for several: {}", shorts.join(", "))));
    }
    found.sort_by_key(|rollout| Reverse((rollout.at, rollout.id.clone())));
    let commit = found.first().map(|r| view::commit(&r.commit)).ok_or_else(unknown)?;
    let mut rollouts = Vec::new();
    for rollout in found.iter().take(LIMIT) {
        rollouts.push(rollout_view(app, &sight, rollout).await?);
    }
    Ok(CommitDetail { commit, rollouts })
}

async fn rollout_view(app: &App, sight: &Sight, rollout: &Rollout) -> Result<RolloutView, Error> {
    let mut runs = Vec::new();
    for (planned, depth) in in_order(&rollout.runs) {
        let newest = newest_try(app, sight, &planned.run.id).await?;
        runs.push(RolloutRunView {
            stack: planned.stack.0.clone(),
            planned_run: planned.run.id.0.clone(),
            after: planned.run.waits.values().map(|wait| wait.stack.0.clone()).collect(),
            depth,
            because: planned.run.because.clone(),
            run: newest.as_ref().map(|run| {
                let mut shown = view::run(run);
                shown.note = shown.note.or_else(|| super::why::waits_for_parents(run));
                shown
            }),
        });
    }
    Ok(RolloutView {
        id: rollout.id.0.clone(),
        repository: rollout.repository.0.clone(),
        branch: rollout.branch.clone(),
        commit: view::commit(&rollout.commit),
        at: rollout.at.rfc3339(),
        triggered_by: rollout.triggered_by.clone(),
        nothing: rollout.nothing.clone(),
        done: runs.iter().all(|run| run.run.as_ref().is_some_and(|run| run.terminal)),
        runs,
    })
}

/// Parents first, each followed by what depends on it alone, so that it reads as a tree.
fn in_order(runs: &[RolloutRun]) -> Vec<(&RolloutRun, u32)> {
    let by_id: BTreeMap<&RunId, &RolloutRun> = runs.iter().map(|r| (&r.run.id, r)).collect();
    let mut left: Vec<&RolloutRun> = runs.iter().collect();
    left.sort_by(|a, b| a.stack.cmp(&b.stack));
    let mut depths: BTreeMap<&RunId, u32> = BTreeMap::new();
    let mut ordered: Vec<(&RolloutRun, u32)> = Vec::new();
    let mut stack: Vec<&RolloutRun> = Vec::new();
    loop {
        let parents = |run: &RolloutRun| -> Vec<RunId> {
            run.run.waits.keys().filter(|id| by_id.contains_key(id)).cloned().collect()
        };
        let next = stack.pop().or_else(|| {
            let ready = |run: &&RolloutRun| parents(run).iter().all(|p| depths.contains_key(p));
            left.iter().copied().find(|run| !depths.contains_key(&run.run.id) && ready(run))
        });
        let Some(run) = next else { break };
        if depths.contains_key(&run.run.id) {
            continue;
        }
        let above = parents(run).iter().filter_map(|p| depths.get(p)).max().map(|d| d + 1);
        let depth = above.unwrap_or(0);
        depths.insert(&run.run.id, depth);
        ordered.push((run, depth));
        let now_ready = left.iter().rev().copied().filter(|child| {
            child.run.waits.contains_key(&run.run.id)
                && parents(child).iter().all(|p| depths.contains_key(p))
        });
        stack.extend(now_ready.collect::<Vec<_>>());
    }
    // A plan never has a circle (its ids are fixed once); if one were stored, nothing is hidden.
    let rest = left.into_iter().filter(|run| !depths.contains_key(&run.run.id));
    let rest: Vec<_> = rest.map(|run| (run, 0)).collect();
    ordered.extend(rest);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::rollout::Wait;
    use windlass_core::run::{Commit, NewRun};

    #[test]
    fn a_rollout_reads_as_a_tree() {
        let run = |stack: &str, after: &[&str]| {
            let wait = |s: &&str| {
                let wait = Wait { stack: (*s).into(), references: vec![], heard: None };
                (RunId::from(*s), wait)
            };
            let waits = after.iter().map(wait).collect();
            let new = NewRun { id: stack.into(), waits, ..NewRun::blank(Commit::default()) };
            RolloutRun { stack: stack.into(), run: new }
        };
        let runs = [
            run("app-b", &["cluster"]),
            run("cluster", &["network"]),
            run("zoo", &["cluster", "dns"]),
            run("dns", &[]),
            run("network", &[]),
            run("app-a", &["cluster"]),
            run("loop-1", &["loop-2"]),
            run("loop-2", &["loop-1"]),
        ];
        let got: Vec<String> = in_order(&runs)
            .into_iter()
            .map(|(run, depth)| format!("{}{}", "  ".repeat(depth as usize), run.stack))
            .collect();
        let expect = [
            "dns",
            "network",
            "  cluster",
            "    app-a",
            "    app-b",
            "    zoo",
            "loop-1",
            "loop-2",
        ];
        assert_eq!(got, expect);
    }
}
