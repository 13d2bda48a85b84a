//! `stacks/<slug>/head.json`: all mutable state of one stack, changed by its actor alone.
use crate::definition::StackDef;
use crate::drift::Watch;
use crate::effect::{Effect, Entry};
use crate::id::{EffectId, EventId, RunId, Sha, StackId};
use crate::job::{Delta, Outputs};
use crate::run::{Commit, Run, RunType, StateName};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Events remembered in the head itself. Only a cache: what an event made tells of it too (A1).
pub const RECENT_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackHead {
    pub stack: StackId,
    /// Rises with each decision that changed anything; projections carry it.
    pub revision: u64,
    pub defined: Defined,
    pub lock: Option<Lock>,
    /// The blocking run that has the stack: past QUEUED, not terminal.
    pub active: Option<Run>,
    /// Blocking runs in QUEUED, in order of arrival.
    pub queue: Vec<Run>,
    /// Proposed runs that are not terminal.
    pub proposed: Vec<Run>,
    /// Newest commit of the tracked branch that this stack was told of.
    pub tracked: Option<Commit>,
    pub outputs: Option<StackOutputs>,
    /// An apply, a destroy or a task was ever handed out: whatever became of it, there may be
    /// resources in the world.
    #[serde(default)]
    pub touched: bool,
    /// Newest tracked, destroy or task run: its state is the stack's.
    pub last: Option<LastRun>,
    #[serde(default)]
    pub drift: Watch,
    pub recent: VecDeque<Recent>,
    pub outbox: Vec<Entry>,
    /// How many effects were ever owed: each has an id of its own.
    #[serde(default)]
    pub owed: u64,
    /// The earliest minute that `due/` was asked to wake this group at.
    pub due_minute: Option<u64>,
}

/// Whether the stack is there. A head outlives its stack as a tombstone that answers (rule D3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Defined {
    /// Something was sent before the definition; nothing runs.
    NotYet,
    Yes {
        def: Box<StackDef>,
        commit: Sha,
        revision: u64,
    },
    /// It left the definitions, and something goes to its end first.
    Leaving {
        def: Box<StackDef>,
        revision: u64,
        /// A last run deletes its resources; else only what was under way is ended.
        #[serde(default)]
        destroy: bool,
    },
    Gone {
        revision: u64,
    },
}

impl Defined {
    #[must_use]
    pub fn def(&self) -> Option<&StackDef> {
        match self {
            Defined::Yes { def, .. } | Defined::Leaving { def, .. } => Some(def),
            Defined::NotYet | Defined::Gone { .. } => None,
        }
    }
    #[must_use]
    pub fn revision(&self) -> u64 {
        match self {
            Defined::NotYet => 0,
            Defined::Yes { revision, .. }
            | Defined::Leaving { revision, .. }
            | Defined::Gone { revision } => *revision,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub by: String,
    pub note: Option<String>,
    pub at: UnixMs,
    pub until: Option<UnixMs>,
}

/// `outputs/<stack>.json`: what the last successful apply left, for dependents and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackOutputs {
    pub stack: StackId,
    pub run: RunId,
    pub outputs: Outputs,
    /// Blob key of the list of resources.
    pub resources_key: Option<String>,
    pub head_revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    pub id: RunId,
    pub kind: RunType,
    pub state: StateName,
    pub since: UnixMs,
    pub delta: Option<Delta>,
    pub commit: Commit,
}

/// An event that was decided, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    pub id: EventId,
    pub answer: Answer,
}

/// What became of an event; the API waits for a command's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It took effect, and made or moved this run.
    Done { run: Option<RunId> },
    /// It came late or twice: nothing to do.
    Stale { why: String },
    /// The state does not allow it; the sentence is for a person.
    Refused { why: String },
    /// A run or lock that it names does not exist.
    NotFound { why: String },
}

impl StackHead {
    #[must_use]
    pub fn new(stack: &StackId) -> Self {
        Self {
            stack: stack.clone(),
            revision: 0,
            defined: Defined::NotYet,
            lock: None,
            active: None,
            queue: Vec::new(),
            proposed: Vec::new(),
            tracked: None,
            outputs: None,
            touched: false,
            last: None,
            drift: Watch::default(),
            recent: VecDeque::new(),
            outbox: Vec::new(),
            owed: 0,
            due_minute: None,
        }
    }
    /// There may be resources that nobody would manage once this stack is gone.
    #[must_use]
    pub fn may_hold_resources(&self) -> bool {
        self.touched || self.outputs.is_some()
    }
    /// Runs that are not terminal, the active one first.
    pub fn open(&self) -> impl Iterator<Item = &Run> {
        self.active.iter().chain(&self.queue).chain(&self.proposed)
    }
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.open().find(|run| run.id() == id)
    }
    pub(crate) fn run_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        let all = self.active.iter_mut().chain(&mut self.queue).chain(&mut self.proposed);
        all.into_iter().find(|run| run.id() == id)
    }
    /// The newest that this head tells of a run: of an open one, or of one whose document is owed.
    #[must_use]
    pub fn known(&self, id: &RunId) -> Option<&Run> {
        let told = self.run(id).into_iter().chain(self.owed_run(id));
        told.max_by_key(|run| (run.version, run.head_revision))
    }
    /// A run's document that is not known to be stored yet.
    #[must_use]
    pub(crate) fn owed_run(&self, id: &RunId) -> Option<&Run> {
        self.outbox.iter().rev().find_map(|entry| match &entry.effect {
            Effect::PutRun { run } if run.id() == id => Some(&**run),
            _ => None,
        })
    }
    #[must_use]
    pub fn answer_to(&self, event: &EventId) -> Option<&Answer> {
        self.recent.iter().rev().find(|known| known.id == *event).map(|known| &known.answer)
    }
    pub(crate) fn remember(&mut self, id: &EventId, answer: Answer) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { id: id.clone(), answer });
    }
    /// Adds an effect under an id of its own.
    pub(crate) fn owe(&mut self, effect: Effect, now: UnixMs) {
        let id = free_id(&self.outbox, &self.stack.0, self.revision);
        self.outbox.push(Entry { id, at: now, effect, tries: 0 });
    }
}

/// `<owner>-<revision>-<n>`, the first that no entry has. Entries may have been taken out since
/// the last was added, so their number alone does not tell.
pub(crate) fn free_id(outbox: &[Entry], owner: &str, revision: u64) -> EffectId {
    let taken = |id: &EffectId| outbox.iter().any(|entry| entry.id == *id);
    let mut place = outbox.len();
    loop {
        let id = EffectId(format!("{owner}-{revision}-{place}"));
        if !taken(&id) {
            return id;
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is delivered is struck by its id: two entries of one id would be struck together,
    /// though only one was delivered (rule A2).
    #[test]
    fn an_effect_never_takes_the_id_of_another_that_is_owed() {
        let mut head = StackHead::new(&"s".into());
        let owe = |head: &mut StackHead| head.owe(Effect::PutSummary, UnixMs(0));
        owe(&mut head);
        owe(&mut head);
        head.outbox.remove(0);
        owe(&mut head);
        owe(&mut head);
        let ids: std::collections::BTreeSet<_> = head.outbox.iter().map(|e| &e.id).collect();
        assert_eq!(ids.len(), 3);
    }
}
