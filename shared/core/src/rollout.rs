//! One push (or trigger), all runs that follow from it, and who waits for whom.
//!
//! The whole plan is written once, before the first message goes out (rule W2): runs wait for run
//! ids that are fixed here, so no later change of definitions can close a circle (rule D6).
use crate::definition::Reference;
use crate::id::{EventId, RepoName, RolloutId, RunId, StackId};
use crate::run::{Commit, NewRun, SkipReason};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `rollouts/<repo>/<sha>-<n>.json`, created once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub id: RolloutId,
    pub event: EventId,
    pub repository: RepoName,
    pub commit: Commit,
    pub branch: String,
    pub at: UnixMs,
    pub triggered_by: Option<String>,
    /// Which repositories' definitions it was routed by.
    pub index_revision: u64,
    pub runs: Vec<RolloutRun>,
    /// Why no stack matched, when none did: one sentence.
    pub nothing: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRun {
    pub stack: StackId,
    pub run: NewRun,
}

/// A run that waits for this one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Child {
    pub stack: StackId,
    pub run: RunId,
}

/// What a run knows of one parent: the edge, and the outcome of the newest try that it heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    pub stack: StackId,
    /// Empty: a plain edge.
    #[serde(default)]
    pub references: Vec<Reference>,
    #[serde(default)]
    pub heard: Option<Heard>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub try_no: u32,
    pub outcome: Outcome,
}

/// How a parent ended, as its children need to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Good {
        changed: BTreeSet<String>,
    },
    /// It was skipped because nothing that it uses changed: it stands as it was, all is well.
    Unneeded,
    Bad,
    /// It will not be made: the stack is gone, or refused it (rule D3).
    Never,
}

/// What all parents together say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Wait,
    Release,
    Skip(SkipReason),
}

/// Rule D2: judged only when the map is complete; any bad parent → skipped; a direct run, a plain
/// edge of a parent that ran, or any changed reference → released; else skipped.
#[must_use]
pub fn judge(waits: &BTreeMap<RunId, Wait>, direct: bool) -> Judgement {
    if waits.values().any(|wait| wait.heard.is_none()) {
        return Judgement::Wait;
    }
    let those = |which: fn(&Outcome) -> bool| -> Vec<StackId> {
        let hits = waits.values().filter(|w| w.heard.as_ref().is_some_and(|h| which(&h.outcome)));
        hits.map(|wait| wait.stack.clone()).collect()
    };
    let bad = those(|outcome| matches!(outcome, Outcome::Bad));
    if !bad.is_empty() {
        return Judgement::Skip(SkipReason::ParentFailed { parents: bad });
    }
    let never = those(|outcome| matches!(outcome, Outcome::Never));
    if !never.is_empty() {
        return Judgement::Skip(SkipReason::ParentNever { parents: never });
    }
    if direct || waits.is_empty() || waits.values().any(follows) {
        return Judgement::Release;
    }
    let parents = waits.values().map(|wait| wait.stack.clone()).collect();
    Judgement::Skip(SkipReason::OutputsUnchanged { parents })
}

fn follows(wait: &Wait) -> bool {
    let Some(Heard { outcome: Outcome::Good { changed }, .. }) = &wait.heard else { return false };
    wait.references.is_empty()
        || wait.references.iter().any(|r| r.trigger_always || changed.contains(&r.output))
}

/// Takes in what a parent's try says; an older try never overwrites a newer (rule D2). True if
/// anything changed.
pub fn hear(waits: &mut BTreeMap<RunId, Wait>, parent: &RunId, heard: Heard) -> bool {
    let Some(wait) = waits.get_mut(parent) else { return false };
    let newer = wait.heard.as_ref().is_none_or(|known| known.try_no < heard.try_no);
    if newer {
        wait.heard = Some(heard);
    }
    newer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(references: &[&str], heard: Option<Outcome>) -> Wait {
        let references = references
            .iter()
            .map(|output| Reference {
                output: output.trim_end_matches('!').into(),
                input: "TF_VAR_x".into(),
                trigger_always: output.ends_with('!'),
            })
            .collect();
        Wait {
            stack: "p".into(),
            references,
            heard: heard.map(|outcome| Heard { try_no: 1, outcome }),
        }
    }
    fn good(changed: &[&str]) -> Option<Outcome> {
        Some(Outcome::Good { changed: changed.iter().map(|c| (*c).to_owned()).collect() })
    }

    #[test]
    fn judges_only_a_complete_map() {
        let failed = || Judgement::Skip(SkipReason::ParentFailed { parents: vec!["p".into()] });
        let never = || Judgement::Skip(SkipReason::ParentNever { parents: vec!["p".into()] });
        let same = |n: usize| {
            Judgement::Skip(SkipReason::OutputsUnchanged { parents: vec!["p".into(); n] })
        };
        #[rustfmt::skip]
        let table = [
            ("no parents",                       false, vec![],                                                          Judgement::Release),
            ("one is missing",                   false, vec![wait(&[], good(&[])), wait(&[], None)],                     Judgement::Wait),
            ("bad, but one is missing",          false, vec![wait(&[], Some(Outcome::Bad)), wait(&[], None)],            Judgement::Wait),
            ("a plain edge always follows",      false, vec![wait(&[], good(&[]))],                                      Judgement::Release),
            ("its reference changed",            false, vec![wait(&["a"], good(&["a"]))],                                Judgement::Release),
            ("another output changed",           false, vec![wait(&["a"], good(&["b"]))],                                same(1)),
            ("trigger_always",                   false, vec![wait(&["a!"], good(&[]))],                                  Judgement::Release),
            ("changed and unchanged, any order", false, vec![wait(&["a"], good(&["a"])), wait(&["a"], good(&[]))],       Judgement::Release),
            ("unchanged and changed",            false, vec![wait(&["a"], good(&[])), wait(&["a"], good(&["a"]))],       Judgement::Release),
            ("nothing changed anywhere",         false, vec![wait(&["a"], good(&[])), wait(&["a"], good(&[]))],          same(2)),
            ("but the push touched it",          true,  vec![wait(&["a"], good(&[]))],                                   Judgement::Release),
            ("touched, yet a parent failed",     true,  vec![wait(&["a"], Some(Outcome::Bad))],                          failed()),
            ("one bad parent is enough",         false, vec![wait(&[], good(&[])), wait(&[], Some(Outcome::Bad))],       failed()),
            ("a parent was not needed",          false, vec![wait(&[], Some(Outcome::Unneeded))],                        same(1)),
            ("not needed, but touched itself",   true,  vec![wait(&[], Some(Outcome::Unneeded))],                        Judgement::Release),
            ("one not needed, one changed",      false, vec![wait(&["a"], Some(Outcome::Unneeded)), wait(&[], good(&[]))], Judgement::Release),
            ("a parent that is never made",      true,  vec![wait(&[], Some(Outcome::Never))],                           never()),
        ];
        for (name, direct, waits, expect) in table {
            let waits = waits.into_iter().enumerate().map(|(n, w)| (RunId(n.to_string()), w));
            assert_eq!(judge(&waits.collect(), direct), expect, "{name}");
        }
    }

    #[test]
    fn an_older_try_never_overwrites_a_newer() {
        let parent = RunId::from("r");
        let mut waits = BTreeMap::from([(parent.clone(), wait(&[], None))]);
        let say = |try_no, outcome| Heard { try_no, outcome };
        assert!(hear(&mut waits, &parent, say(2, good(&[]).unwrap())));
        assert!(!hear(&mut waits, &parent, say(1, Outcome::Bad)));
        assert_eq!(judge(&waits, false), Judgement::Release);
    }
}
