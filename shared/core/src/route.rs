//! From a push to stacks: which ones it touches, which follow, and who waits for whom.
use crate::event::Files;
use crate::id::{EventId, RepoName, RolloutId, RunId, StackId, derive};
use crate::index::{Dependent, Indexed, RepoIndex};
use crate::rollout::{Child, Rollout, RolloutRun, Wait};
use crate::run::{Commit, NewRun, RunType};
use crate::time::UnixMs;
use globset::GlobBuilder;
use std::collections::{BTreeMap, BTreeSet};

/// What is being routed.
#[derive(Clone, Debug)]
pub struct Routing<'a> {
    pub event: &'a EventId,
    pub at: UnixMs,
    pub repository: &'a RepoName,
    pub branch: &'a str,
    pub commit: &'a Commit,
    pub triggered_by: Option<&'a str>,
}

/// Why a stack is in a rollout by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub stack: StackId,
    /// One sentence.
    pub because: String,
}

/// Stacks of this repository that these files touch, by root path segment or glob; `newer_than`
/// adds those that the index did not know at that revision.
#[must_use]
pub fn touched(
    index: &RepoIndex,
    files: &Files,
    newer_than: Option<u64>,
    on: impl Fn(&Indexed) -> bool,
) -> Vec<Touched> {
    let paths = Paths::of(files);
    let hit = |stack: &Indexed| {
        let because = match newer_than {
            Some(revision) if stack.since > revision => "the push created it".to_owned(),
            _ => format!("the push touched {}", paths.touches(stack)?),
        };
        Some(Touched { stack: stack.stack.clone(), because })
    };
    index.stacks.iter().filter(|stack| on(stack)).filter_map(hit).collect()
}

/// Changed files, and every folder above one of them.
struct Paths<'a> {
    files: &'a [String],
    everything: bool,
    folders: BTreeMap<&'a str, &'a str>,
}

impl<'a> Paths<'a> {
    fn of(files: &'a Files) -> Self {
        let Files::Known(files) = files else {
            return Self { files: &[], everything: true, folders: BTreeMap::new() };
        };
        let mut folders = BTreeMap::new();
        for file in files {
            let mut folder = file.as_str();
            while let Some((above, _)) = folder.rsplit_once('/') {
                folders.entry(above).or_insert(file.as_str());
                folder = above;
            }
            folders.entry("").or_insert(file.as_str());
        }
        Self { files, everything: false, folders }
    }

    /// The first file that touches this stack.
    fn touches(&self, stack: &Indexed) -> Option<&'a str> {
        if self.everything {
            return Some("everything");
        }
        if let Some(file) = self.folders.get(stack.root.as_str()) {
            return Some(file);
        }
        stack.globs.iter().find_map(|glob| self.matches(glob))
    }

    /// A glob is compiled only if something changed below its literal prefix: of thousands of
    /// globs, a push meets a handful.
    fn matches(&self, glob: &str) -> Option<&'a str> {
        let prefix = literal_folder(glob);
        if !self.folders.contains_key(prefix) {
            return None;
        }
        let glob = GlobBuilder::new(glob).literal_separator(true).build().ok()?.compile_matcher();
        self.files.iter().map(String::as_str).find(|file| glob.is_match(file))
    }
}

/// The folders of a glob before its first special character.
fn literal_folder(glob: &str) -> &str {
    let special = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    glob[..special].rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A deployment: the touched stacks and all that depend on them, each run waiting for its parents.
#[must_use]
pub fn deployment(routing: &Routing<'_>, index: &RepoIndex, touched: &[Touched]) -> Rollout {
    let members = closure(index, touched);
    let id = |stack: &StackId| RunId::derive(routing.at, routing.event, stack);
    let rollout_id = rollout_id(routing);
    let mut runs: BTreeMap<StackId, NewRun> = BTreeMap::new();
    for (stack, member) in &members {
        let own = member.repository.is_none_or(|repo| repo == routing.repository)
            && member.branch.is_none_or(|branch| branch == routing.branch);
        runs.insert(
            stack.clone(),
            NewRun {
                id: id(stack),
                repository: member.repository.unwrap_or(routing.repository).clone(),
                branch: member.branch.unwrap_or(routing.branch).to_owned(),
                triggered_by: member.triggered_by(routing),
                because: member.because.clone(),
                rollout: Some(rollout_id.clone()),
                direct: member.direct,
                // A stack of another repository or branch runs at its own tracked commit, which only
                // its actor knows: it is bound when the run leaves the queue.
                ..NewRun::blank(if own { routing.commit.clone() } else { Commit::default() })
            },
        );
    }
    for parent in members.keys() {
        for edge in index.dependents.get(parent).into_iter().flatten() {
            let child = Child { stack: edge.stack.clone(), run: id(&edge.stack) };
            if let Some(run) = runs.get_mut(parent) {
                run.children.push(child);
            }
            if let Some(run) = runs.get_mut(&edge.stack) {
                run.waits.insert(id(parent), wait(parent, edge));
            }
        }
    }
    finish(routing, index, runs)
}

/// Previews: only the touched stacks, nothing waits, nothing follows.
#[must_use]
pub fn preview(routing: &Routing<'_>, index: &RepoIndex, touched: &[Touched]) -> Rollout {
    let runs = touched.iter().map(|hit| {
        let run = NewRun {
            id: RunId::derive(routing.at, routing.event, &hit.stack),
            kind: RunType::Proposed,
            repository: routing.repository.clone(),
            branch: routing.branch.to_owned(),
            because: format!("{} on another branch than the tracked one", hit.because),
            rollout: Some(rollout_id(routing)),
            direct: true,
            ..NewRun::blank(routing.commit.clone())
        };
        (hit.stack.clone(), run)
    });
    let runs = runs.collect();
    finish(routing, index, runs)
}

/// `<repository>/<commit>-<n>`, n being the push's place in the repository's history: the same
/// commit arriving again after another head is a new rollout. The event is in it by a digest: events
/// of people differ in their last letters only.
#[must_use]
pub fn rollout_id(routing: &Routing<'_>) -> RolloutId {
    let event = derive(&["rollout", &routing.event.0]);
    let event = event.get(..12).unwrap_or(&event);
    RolloutId(format!(
        "{}/{}-{}-{event}",
        routing.repository, routing.commit.sha, routing.commit.seq
    ))
}

fn finish(routing: &Routing<'_>, index: &RepoIndex, runs: BTreeMap<StackId, NewRun>) -> Rollout {
    let nothing = match (runs.is_empty(), index.stacks.is_empty()) {
        (false, _) => None,
        (true, true) => Some("no stack is defined in this repository".to_owned()),
        (true, false) => Some("no stack's root or glob covers what changed".to_owned()),
    };
    Rollout {
        id: rollout_id(routing),
        event: routing.event.clone(),
        repository: routing.repository.clone(),
        commit: routing.commit.clone(),
        branch: routing.branch.to_owned(),
        at: routing.at,
        triggered_by: routing.triggered_by.map(str::to_owned),
        index_revision: index.revision,
        runs: runs.into_iter().map(|(stack, run)| RolloutRun { stack, run }).collect(),
        nothing,
    }
}

/// A stack that takes part in a deployment.
struct Member<'a> {
    direct: bool,
    because: String,
    /// The parent through which it was reached first.
    via: Option<&'a StackId>,
    repository: Option<&'a RepoName>,
    branch: Option<&'a str>,
}

impl Member<'_> {
    fn triggered_by(&self, routing: &Routing<'_>) -> Option<String> {
        match self.via {
            Some(parent) if !self.direct => Some(parent.0.clone()),
            _ => routing.triggered_by.map(str::to_owned),
        }
    }
}

fn closure<'a>(index: &'a RepoIndex, touched: &[Touched]) -> BTreeMap<StackId, Member<'a>> {
    let mut members: BTreeMap<StackId, Member<'a>> = BTreeMap::new();
    let mut reach: Vec<StackId> = Vec::new();
    for hit in touched {
        let because = hit.because.clone();
        let member = Member { direct: true, because, via: None, repository: None, branch: None };
        members.insert(hit.stack.clone(), member);
        reach.push(hit.stack.clone());
    }
    let mut seen: BTreeSet<StackId> = BTreeSet::new();
    while let Some(parent) = reach.pop() {
        if !seen.insert(parent.clone()) {
            continue;
        }
        let Some((parent, edges)) = index.dependents.get_key_value(&parent) else { continue };
        for edge in edges {
            members.entry(edge.stack.clone()).or_insert_with(|| Member {
                direct: false,
                because: format!("it depends on {parent}"),
                via: Some(parent),
                repository: Some(&edge.repository),
                branch: Some(&edge.branch),
            });
            reach.push(edge.stack.clone());
        }
    }
    members
}

fn wait(parent: &StackId, edge: &Dependent) -> Wait {
    Wait { stack: parent.clone(), references: edge.references.clone(), heard: None }
}

#[cfg(test)]
#[path = "route_table.rs"]
mod tests;
