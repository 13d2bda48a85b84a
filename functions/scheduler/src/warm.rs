//! What this process did last to a stack: it saves swaps that only take delivered effects off a list,
//! and reads of projections.
//!
//! It holds for as long as the head is where this process left it, which the head's own read tells:
//! guessing that would spare a read and, wherever another process was there meanwhile, cost a write.
//! A process that remembers nothing only asks more often.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_core::id::StackId;
use windlass_core::stack::StackHead;
use windlass_ports::cas::{At, Loaded, Raised};

/// So many stacks are remembered; more are forgotten all at once.
const STACKS_MAX: usize = 256;
/// And so many projections of each: of its open runs, and of what every stack has.
const PROJECTIONS_MAX: usize = 16;

#[derive(Default)]
pub struct Warm(Mutex<HashMap<StackId, Stack>>);

#[derive(Default)]
struct Stack {
    /// Where the head was left, and the head without what was delivered since.
    head: Option<(At, StackHead)>,
    /// Its projections by key, as they were written.
    projections: HashMap<String, Raised>,
}

impl Warm {
    fn stacks(&self) -> MutexGuard<'_, HashMap<StackId, Stack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head that was just read, without what this process delivered of it. If it was written by
    /// somebody else since, all that was remembered of the stack is forgotten.
    pub(crate) fn recall(&self, found: Loaded<StackHead>) -> Loaded<StackHead> {
        let mut stacks = self.stacks();
        let stack = stacks.get_mut(&found.value.stack);
        match stack.and_then(|stack| stack.head.take()).filter(|(at, _)| *at == found.at()) {
            Some((_, head)) => Loaded { value: head, ..found },
            None => {
                stacks.remove(&found.value.stack);
                found
            }
        }
    }

    pub(crate) fn remember(&self, at: At, head: StackHead) {
        let mut stacks = self.stacks();
        if stacks.len() >= STACKS_MAX && !stacks.contains_key(&head.stack) {
            stacks.clear();
        }
        let stack = head.stack.clone();
        stacks.entry(stack).or_default().head = Some((at, head));
    }

    pub(crate) fn projection(&self, stack: &StackId, key: &str) -> Option<Raised> {
        self.stacks().get_mut(stack)?.projections.remove(key)
    }

    pub(crate) fn remember_projection(&self, stack: &StackId, key: String, raised: Raised) {
        let mut stacks = self.stacks();
        let projections = &mut stacks.entry(stack.clone()).or_default().projections;
        if projections.len() >= PROJECTIONS_MAX {
            projections.clear();
        }
        projections.insert(key, raised);
    }
}
