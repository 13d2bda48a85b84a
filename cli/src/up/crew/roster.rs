//! `workers.json`: which processes were started as workers, and how those that ended did.
//!
//! It outlives the server, so that the next one can tell a worker that still runs from one that
//! is gone. An entry that says "gone" stays until its name is given to another process.
use crate::up::folder::replace;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::id::InstanceId;
use windlass_core::job::ProcessGroup;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub(crate) enum WorkerFate {
    Alive(ProcessGroup),
    /// One sentence for a person.
    Gone {
        cause: String,
    },
}

#[derive(Debug)]
pub(crate) struct Roster {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    workers: BTreeMap<InstanceId, WorkerFate>,
    /// Given to a process that is being started, lives, or left something to settle.
    reserved: BTreeSet<InstanceId>,
}

impl Roster {
    /// A list that can't be read is as good as none: leases then tell who is gone.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let workers = match std::fs::read(&path) {
            Ok(body) => serde_json::from_slice(&body).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e),
        };
        Ok(Self { path, state: Mutex::new(State { workers, ..State::default() }) })
    }

    #[must_use]
    pub(crate) fn all(&self) -> Vec<(InstanceId, WorkerFate)> {
        let state = self.state();
        state.workers.iter().map(|(name, fate)| (name.clone(), fate.clone())).collect()
    }
    #[must_use]
    pub(crate) fn fate(&self, name: &InstanceId) -> Option<WorkerFate> {
        self.state().workers.get(name).cloned()
    }

    /// The lowest of `w1`, `w2`, … that no process has and that is not `taken` otherwise.
    pub(crate) fn reserve(&self, taken: &BTreeSet<InstanceId>) -> InstanceId {
        let mut state = self.state();
        let mut number = 1;
        loop {
            let name = InstanceId(format!("w{number}"));
            let alive = matches!(state.workers.get(&name), Some(WorkerFate::Alive(_)));
            if !alive && !taken.contains(&name) && !state.reserved.contains(&name) {
                state.reserved.insert(name.clone());
                return name;
            }
            number += 1;
        }
    }
    /// Nobody else gets this name until it is forgotten.
    pub(crate) fn hold(&self, name: &InstanceId) {
        self.state().reserved.insert(name.clone());
    }

    pub(crate) fn started(&self, name: &InstanceId, process: ProcessGroup) -> io::Result<()> {
        self.set(name, WorkerFate::Alive(process))
    }
    pub(crate) fn ended(&self, name: &InstanceId, cause: String) -> io::Result<()> {
        self.set(name, WorkerFate::Gone { cause })
    }
    /// Nothing refers to this worker any more: its name is free.
    pub(crate) fn forget(&self, name: &InstanceId) -> io::Result<()> {
        let mut state = self.state();
        state.reserved.remove(name);
        state.workers.remove(name);
        self.save(&state)
    }

    fn set(&self, name: &InstanceId, fate: WorkerFate) -> io::Result<()> {
        let mut state = self.state();
        state.workers.insert(name.clone(), fate);
        self.save(&state)
    }

    fn save(&self, state: &State) -> io::Result<()> {
        replace(&self.path, &serde_json::to_vec(&state.workers)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> ProcessGroup {
        ProcessGroup { pid, started: "1".into(), boot: "b".into() }
    }

    #[test]
    fn names_are_used_again_only_when_nobody_has_them() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("workers.json");
        let roster = Roster::open(path.clone()).unwrap();
        let none = BTreeSet::new();
        let (first, second) = (roster.reserve(&none), roster.reserve(&none));
        assert_eq!((first.as_str(), second.as_str()), ("w1", "w2"));
        roster.started(&first, process(7)).unwrap();
        roster.ended(&first, "it died".into()).unwrap();
        assert_eq!(roster.reserve(&none).as_str(), "w3", "its affairs are not settled");
        roster.forget(&first).unwrap();
        // A record under its name still holds a job.
        assert_eq!(roster.reserve(&BTreeSet::from([first.clone()])).as_str(), "w4");
        assert_eq!(roster.reserve(&none), first);
        roster.started(&first, process(8)).unwrap();

        let again = Roster::open(path).unwrap();
        assert_eq!(again.all(), [(first.clone(), WorkerFate::Alive(process(8)))]);
        assert_eq!(again.reserve(&none).as_str(), "w2", "it lives");
    }
}
