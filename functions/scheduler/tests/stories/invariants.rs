//! What must hold after every step, each a sentence: the design's invariants 1, 2, 4, 5, 7, 8, 11
//! while things move, and 3, 4 and 9 once they rest.
//!
//! [`Watch`] reads what changed since it last looked, so a look after each step costs little.
use crate::world::{REPO, World};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::id::{EventId, RepoName, RunId, Sha, StackId};
use windlass_core::instance::{Instance, Slot};
use windlass_core::job::{JobId, Phase};
use windlass_core::repo::RepoHead;
use windlass_core::rollout::Rollout;
use windlass_core::run::{Run, SkipReason, State, StateName};
use windlass_core::stack::{StackHead, StackOutputs};
use windlass_core::status::{self, Said};
use windlass_core::summary::Summary;
use windlass_core::{keys, repo};
use windlass_ports::cas::Stored;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{CommitStatus, Docs, Version};

/// Everything that was seen, typed.
#[derive(Default)]
pub(crate) struct Watch {
    versions: BTreeMap<String, (Version, u64)>,
    pub(crate) heads: BTreeMap<StackId, StackHead>,
    /// Runs as heads tell of them, or their documents.
    pub(crate) runs: BTreeMap<RunId, Run>,
    documents: BTreeMap<RunId, Run>,
    pub(crate) rollouts: BTreeMap<EventId, Rollout>,
    pub(crate) repo: Option<RepoHead>,
    summaries: BTreeMap<StackId, Summary>,
    outputs: BTreeMap<StackId, StackOutputs>,
    instances: BTreeMap<String, Instance>,
    due: BTreeSet<(u64, String)>,
    /// Runs that changed since the last look.
    fresh: Vec<RunId>,
    started: usize,
    /// The newest push that each stack applied.
    applied: BTreeMap<StackId, u64>,
    broken: Vec<String>,
}

impl Watch {
    /// Looks, and says which sentences do not hold.
    pub(crate) async fn check(&mut self, world: &World) -> Vec<String> {
        self.read(world).await;
        self.a_dependent_waits_for_all();
        self.one_blocking_run_has_a_stack(world);
        self.an_attempt_runs_once(world);
        self.every_open_run_has_an_owner_and_a_deadline(world);
        self.a_stack_with_a_tool_is_not_free(world);
        std::mem::take(&mut self.broken)
    }

    /// As [`Self::check`], for a test that wants none broken.
    pub(crate) async fn expect(&mut self, world: &World, when: &str) {
        let broken = self.check(world).await;
        assert!(broken.is_empty(), "{when}: {broken:#?}\n{}", world.faults.story());
    }

    async fn read(&mut self, world: &World) {
        let mut after: Option<String> = None;
        let mut due = BTreeSet::new();
        loop {
            let page = world.docs.list("", after.as_deref(), LIST_MAX).await.expect("list");
            for listed in &page {
                if let Some((minute, group)) = keys::parse_due(&listed.key) {
                    due.insert((minute, group.to_owned()));
                } else if self.versions.get(&listed.key).map(|v| &v.0) != Some(&listed.version) {
                    let found = world.docs.get(&listed.key).await.expect("get").expect("listed");
                    self.changed(&listed.key, found.version, &found.body);
                }
            }
            match page.last() {
                Some(last) if page.len() == LIST_MAX => after = Some(last.key.clone()),
                _ => break,
            }
        }
        self.due = due;
    }

    fn changed(&mut self, key: &str, version: Version, body: &[u8]) {
        let parts: Vec<&str> = key.split('/').collect();
        let revision = match parts[..] {
            ["stacks", ..] => self.head(body),
            ["runs", ..] => self.document(body),
            ["rollouts", ..] => {
                let (revision, rollout) = decode::<Rollout>(body);
                self.must(!self.rollouts.contains_key(&rollout.event), || {
                    format!("3: {} was routed twice", rollout.event)
                });
                self.rollouts.insert(rollout.event.clone(), rollout);
                revision
            }
            ["repos", ..] => {
                let (revision, head) = decode::<repo::RepoHead>(body);
                self.repo = Some(head);
                revision
            }
            ["summaries", ..] => {
                let (revision, summary) = decode::<Summary>(body);
                self.summaries.insert(summary.stack.clone(), summary);
                revision
            }
            ["outputs", ..] => {
                let (revision, outputs) = decode::<StackOutputs>(body);
                self.outputs.insert(outputs.stack.clone(), outputs);
                revision
            }
            ["pools", _, "instances", id] => self.instance(id, body),
            _ => decode::<serde_json::Value>(body).0,
        };
        let before = self.versions.insert(key.to_owned(), (version, revision));
        let rises = before.is_none_or(|(_, before)| before < revision);
        self.must(rises, || format!("8: the revision of {key} does not rise"));
        let is_created_once = key.ends_with("/result") || key.ends_with("/claim");
        self.must(!is_created_once || revision == 1, || format!("2: {key} was written twice"));
    }

    fn head(&mut self, body: &[u8]) -> u64 {
        let (revision, head) = decode::<StackHead>(body);
        let before = self.heads.insert(head.stack.clone(), head.clone());
        let rises = before.is_none_or(|before| before.revision <= head.revision);
        self.must(rises, || format!("8: the head of {} goes back", head.stack));
        let ids: BTreeSet<_> = head.outbox.iter().map(|entry| &entry.id).collect();
        let distinct = ids.len() == head.outbox.len();
        self.must(distinct, || format!("two effects of {} have one id", head.stack));
        for run in head.open() {
            self.run(run.clone());
        }
        revision
    }

    fn document(&mut self, body: &[u8]) -> u64 {
        let (revision, run) = decode::<Run>(body);
        let before = self.documents.insert(run.id().clone(), run.clone());
        let rises = before.is_none_or(|before| before.head_revision < run.head_revision);
        self.must(rises, || format!("8: the document of {} goes back", run.id()));
        self.run(run);
        revision
    }

    fn run(&mut self, run: Run) {
        let id = run.id().clone();
        let stands = |run: &Run| (run.head_revision, run.version);
        let before = self.runs.get(&id).cloned();
        // A document of what a head told long ago may come late.
        if before.as_ref().is_some_and(|before| stands(before) >= stands(&run)) {
            return;
        }
        self.runs.insert(id.clone(), run.clone());
        if let Some(before) = before {
            let kept = run.history.starts_with(&before.history);
            self.must(kept, || format!("8: the history of {id} was rewritten"));
            let final_ = !before.state.terminal() || before.state == run.state;
            self.must(final_, || format!("8: {id} was {} and moves on", before.state.name()));
        }
        let pairs = run.history.windows(2).map(|pair| (pair[0].state, pair[1].state));
        for (from, to) in pairs.filter(|(from, to)| !follows(*from, *to)).collect::<Vec<_>>() {
            self.must(false, || format!("8: {id} went from {from} to {to}"));
        }
        self.fresh.push(id);
    }

    fn instance(&mut self, id: &str, body: &[u8]) -> u64 {
        let (revision, record) = decode::<Instance>(body);
        let before = self.instances.insert(id.to_owned(), record.clone());
        let idle = |slot: &Slot| matches!(slot, Slot::Idle);
        if let Some(before) = before.filter(|b| b.drain.is_some() && b.epoch == record.epoch) {
            let pairs = before.slots.iter().zip(&record.slots);
            let took = pairs.filter(|(was, is)| idle(was) && !idle(is)).count();
            self.must(took == 0, || format!("5: {id} drains and took a job"));
        }
        revision
    }

    fn a_dependent_waits_for_all(&mut self) {
        for id in std::mem::take(&mut self.fresh) {
            let Some(run) = self.runs.get(&id).filter(|run| !run.jobs.is_empty()) else { continue };
            let mut broken = Vec::new();
            for (parent, wait) in &run.new.waits {
                let mut line = self.runs.values().filter(|run| run.origin() == parent);
                if !line.any(|run| ended_well(&run.state)) {
                    broken.push(format!("7: {id} started before {} ended well", wait.stack));
                }
            }
            self.broken.extend(broken);
        }
    }

    fn one_blocking_run_has_a_stack(&mut self, world: &World) {
        let mut broken = Vec::new();
        for head in self.heads.values() {
            let stack = &head.stack;
            let active = head.active.as_ref();
            if active.is_some_and(|r| r.state.terminal() || r.state == State::Queued) {
                broken.push(format!("1: the active run of {stack} is not under way"));
            }
            if head.queue.iter().any(|run| run.state != State::Queued) {
                broken.push(format!("1: a second run of {stack} left the queue"));
            }
            if head.proposed.iter().any(|run| run.new.kind.blocking()) {
                broken.push(format!("1: {stack} has a blocking run among its previews"));
            }
            let tools = world.running.iter().filter(|t| t.stack == *stack);
            if tools.filter(|tool| !tool.job.phase.repeatable()).count() > 1 {
                broken.push(format!("1: two tools change {stack} at once"));
            }
        }
        self.broken.extend(broken);
    }

    /// 2: an attempt is executed by at most one worker; a plan is never applied twice.
    fn an_attempt_runs_once(&mut self, world: &World) {
        if self.started == world.started.len() {
            return;
        }
        let fresh = self.started..;
        self.started = world.started.len();
        self.no_older_commit_follows_a_newer(&world.started[fresh]);
        let jobs: BTreeSet<_> = world.started.iter().map(|(job, _)| job).collect();
        let once = jobs.len() == world.started.len();
        self.must(once, || format!("2: an attempt was started twice: {:#?}", world.started));
        let digests: BTreeSet<_> = world.applied.iter().collect();
        let once = digests.len() == world.applied.len();
        self.must(once, || format!("2: a plan was applied twice: {:#?}", world.applied));
    }

    /// What is applied never goes back by itself: only a person may choose an older commit.
    fn no_older_commit_follows_a_newer(&mut self, started: &[(JobId, String)]) {
        for (job, _) in started.iter().filter(|(job, _)| job.phase == Phase::Apply) {
            let active = self.heads.values().filter_map(|head| head.active.as_ref());
            let Some(run) = active.into_iter().find(|run| *run.id() == job.run) else { continue };
            let (stack, seq) = (run.stack.clone(), run.new.commit.seq);
            if run.new.pinned {
                continue;
            }
            let before = self.applied.insert(stack.clone(), seq).unwrap_or(0);
            self.must(before <= seq, || format!("{stack} applies push {seq} after {before}"));
        }
    }

    /// 4, while things move: whatever can't go on by a message alone is woken by the clock.
    fn every_open_run_has_an_owner_and_a_deadline(&mut self, world: &World) {
        let intents: Vec<String> =
            world.queues.peek(keys::INTENTS).into_iter().filter_map(|(group, _)| group).collect();
        let mut broken = Vec::new();
        for head in self.heads.values() {
            let group = keys::stack_group(&head.stack);
            let filed = head.due_minute.is_some_and(|minute| {
                self.due.contains(&(minute, group.clone())) || intents.contains(&group)
            });
            if head.due_minute.is_some() && !filed {
                broken.push(format!("4: {} thinks it will be woken, and will not", head.stack));
            }
            let ready = head.defined.ready();
            let needs = |run: &&Run| match &run.state {
                State::Queued if run.new.waits.values().any(|w| w.heard.is_none()) => true,
                State::Queued => false,
                state => state.job().is_some(),
            };
            for run in head.open().filter(needs).filter(|_| head.due_minute.is_none()) {
                broken.push(format!("4: nothing wakes {} {}", run.id(), run.state.name()));
            }
            if !head.outbox.is_empty() && head.due_minute.is_none() {
                broken.push(format!("4: nothing wakes what {} owes", head.stack));
            }
            let free = head.active.is_none() && ready;
            for run in head.queue.iter().filter(|r| free && r.new.waits.is_empty()) {
                broken.push(format!("4: {} could start and was not let", run.id()));
            }
        }
        self.broken.extend(broken);
    }

    /// 11: a stack is never free while a tool of its apply, destroy or task still runs.
    fn a_stack_with_a_tool_is_not_free(&mut self, world: &World) {
        for tool in world.running.iter().filter(|tool| !tool.job.phase.repeatable()) {
            let active = self.heads.get(&tool.stack).and_then(|head| head.active.as_ref());
            let taken = active.is_some_and(|run| *run.id() == tool.job.run);
            self.must(taken, || format!("11: {} is free while {} runs", tool.stack, tool.job));
        }
    }

    /// Once nothing moves: every run ended or waits for a person, every push was routed once,
    /// each stack that it matched has one run for it, and projections say what the heads say.
    pub(crate) async fn at_rest(&mut self, world: &World) -> Vec<String> {
        let mut broken = self.check(world).await;
        for head in self.heads.values() {
            let stack = &head.stack;
            let taken = head.active.as_ref().is_some_and(|r| r.state.name().waits_for_person());
            for run in head.open() {
                let name = run.state.name();
                let waits = name.waits_for_person()
                    || (name == StateName::Queued && (taken || self.waits_behind(run)));
                if !waits {
                    broken.push(format!("4: {} of {stack} stays {name}", run.id()));
                }
                if !self.documents.contains_key(run.id()) {
                    broken.push(format!("9: {} has no document", run.id()));
                }
            }
            let ended = self.documents.values().filter(|run| run.stack == *stack);
            for run in ended.filter(|run| !run.state.terminal() && head.run(run.id()).is_none()) {
                broken.push(format!("9: the end of {} is not in its document", run.id()));
            }
            if !head.outbox.is_empty() {
                broken.push(format!("4: {stack} still owes {:?}", head.outbox));
            }
            if self.outputs.get(stack) != head.outputs.as_ref() {
                broken.push(format!("9: the outputs of {stack} differ"));
            }
            broken.extend(self.summary_differs(head));
        }
        broken.extend(self.untold(world));
        broken.extend(self.unrouted(world).await);
        broken
    }

    /// What people read at a commit is what a run of it last said, or that it left for a newer one.
    fn untold(&self, world: &World) -> Vec<String> {
        type Commits<'a> = BTreeMap<(&'a StackId, &'a RepoName, &'a Sha), Vec<&'a Said>>;
        let mut said = Commits::new();
        for run in self.runs.values() {
            if let Some(last) = &run.said {
                let commit = (&run.stack, &run.new.repository, &last.sha);
                said.entry(commit).or_default().push(last);
            }
        }
        let mut broken = Vec::new();
        for ((stack, repo, sha), said) in said {
            let shown = world.forge.shown(repo, sha, &status::context(stack));
            let told = |shown: &CommitStatus| {
                shown.description.starts_with("superseded: ")
                    || said.iter().any(|s| s.state == shown.state && s.words == shown.description)
            };
            if !shown.as_ref().is_some_and(told) {
                broken
                    .push(format!("13: {stack} at {} shows {shown:?}, not {said:?}", sha.short()));
            }
        }
        broken
    }

    /// A dependent of what waits for a person waits with it.
    fn waits_behind(&self, run: &Run) -> bool {
        run.new.waits.iter().any(|(parent, wait)| {
            wait.heard.is_none()
                && self
                    .heads
                    .get(&wait.stack)
                    .is_some_and(|head| head.open().any(|known| known.origin() == parent))
        })
    }

    fn summary_differs(&self, head: &StackHead) -> Option<String> {
        let stored = self.summaries.get(&head.stack);
        let built = Summary::of(head, stored)?;
        let stored = stored.map(|s| Summary { head_revision: built.head_revision, ..s.clone() });
        (stored.as_ref() != Some(&built))
            .then(|| format!("9: the summary of {} is {stored:#?}, not {built:#?}", head.stack))
    }

    /// 3: an accepted push ends in one recorded outcome for each stack that it matched.
    async fn unrouted(&self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        let Some(repo) = &self.repo else { return broken };
        let branches = world.deps.source.branches(&REPO.into()).await.expect("branches");
        for (branch, sha) in branches {
            let known = repo.branches.get(&branch).map(|known| &known.head);
            if known != Some(&sha) {
                broken.push(format!("3: {branch} at {sha} is not known: {known:?}"));
            }
        }
        for rollout in self.rollouts.values() {
            for member in &rollout.runs {
                let open = self.heads.get(&member.stack).and_then(|h| h.run(&member.run.id));
                if open.is_none() && !self.runs.contains_key(&member.run.id) {
                    broken.push(format!("3: {} has no run of {}", member.stack, rollout.id));
                }
            }
        }
        let waiting = repo.pending.iter().filter(|p| !p.routed).count();
        if waiting > 0 || !repo.outbox.is_empty() {
            broken.push(format!("3: {waiting} pushes wait, {} effects", repo.outbox.len()));
        }
        broken
    }

    fn must(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(sentence());
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> (u64, T) {
    let stored: Stored<T> = serde_json::from_slice(body).expect("a stored document");
    (stored.revision, stored.value)
}

/// The table of transitions, once more and by hand: what may follow what in a history. A state
/// that repeats tells something else than a move (a stop that was asked for, a lost plan).
fn follows(from: StateName, to: StateName) -> bool {
    use StateName as N;
    let working = [N::Preparing, N::Initializing, N::Planning, N::Destroying, N::Performing];
    let after_plan = [N::Finished, N::Unconfirmed, N::PendingReview, N::Confirmed, N::Stopped];
    from == to
        || match from {
            N::Queued => {
                matches!(to, N::Ready | N::Skipped | N::Failed | N::Canceled | N::Discarded)
            }
            N::Ready | N::ReplanRequested => {
                working.contains(&to)
                    || after_plan.contains(&to)
                    || matches!(to, N::PreparingReplan | N::Canceling | N::Failed)
            }
            N::Canceling => {
                working.contains(&to)
                    || matches!(to, N::Canceled | N::Discarded | N::Stopped | N::Finished)
                    || to == N::Failed
            }
            N::Preparing | N::Initializing | N::Planning | N::PreparingReplan => {
                working.contains(&to)
                    || after_plan.contains(&to)
                    || matches!(to, N::Failed | N::Ready | N::ReplanRequested)
            }
            N::Unconfirmed => {
                matches!(to, N::Confirmed | N::ReplanRequested | N::Discarded | N::Failed)
            }
            N::PendingReview => matches!(to, N::Finished | N::Discarded | N::Failed),
            N::Confirmed | N::PreparingApply => {
                matches!(to, N::PreparingApply | N::Applying | N::Finished | N::Failed)
            }
            N::Applying => matches!(to, N::Finished | N::Failed | N::Stopped),
            N::Destroying | N::Performing => matches!(to, N::Finished | N::Failed | N::Stopped),
            N::Finished | N::Failed | N::Canceled => false,
            N::Discarded | N::Stopped | N::Skipped => false,
        }
}

/// It ran to its end, or it was not needed: what it stands for is as the dependent expects it.
fn ended_well(state: &State) -> bool {
    let unneeded = |why: &SkipReason| matches!(why, SkipReason::OutputsUnchanged { .. });
    *state == State::Finished || matches!(state, State::Skipped { why } if unneeded(why))
}
