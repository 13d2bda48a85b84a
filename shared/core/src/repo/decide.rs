//! What a repository's actor does with a push, a trigger, or the end of an administrative run.
use super::head::{Branch, Pending, RepoHead};
use crate::audit::AuditEntry;
use crate::definition;
use crate::effect::Effect;
use crate::event::{Push, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent, Trigger};
use crate::id::{EventId, RunId, StackId, derive};
use crate::index::RepoIndex;
use crate::route::{self, Routing, Touched};
use crate::run::{Commit, NewRun, Run, RunType, State};
use crate::stack::Answer;
use crate::time::{MINUTE_MS, UnixMs};

/// What to load: the repository's index, and this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoWants {
    pub index: bool,
    pub run: Option<RunId>,
}

#[derive(Clone, Debug, Default)]
pub struct RepoFacts {
    pub index: RepoIndex,
    pub run: Option<Run>,
}

#[derive(Clone, Debug)]
pub struct RepoDecision {
    pub head: RepoHead,
    pub answer: Answer,
    pub changed: bool,
}

#[must_use]
pub fn wants(head: &RepoHead, envelope: &RepoEnvelope) -> RepoWants {
    let run = match &envelope.event {
        RepoEvent::DefinitionsSettled { run } => Some(run.clone()),
        // The news may have been lost: the oldest push that waits is looked at again.
        RepoEvent::Due => waiting(head).map(|pending| pending.run.clone()),
        _ => None,
    };
    RepoWants { index: true, run }
}

/// Decides one event. Total: every event has an answer.
#[must_use]
pub fn decide(
    mut head: RepoHead,
    envelope: &RepoEnvelope,
    facts: &RepoFacts,
    now: UnixMs,
) -> RepoDecision {
    if let Some(known) = head.answer_to(&envelope.id) {
        let answer = known.clone();
        return RepoDecision { head, answer, changed: false };
    }
    head.revision += 1;
    let mut turn = Turn { head, envelope, facts, now, changed: false };
    let answer = match &envelope.event {
        RepoEvent::Push { push } => turn.push(push),
        RepoEvent::BranchDeleted { branch } => turn.branch_deleted(branch),
        RepoEvent::DefinitionsSettled { run } => turn.settled(run),
        RepoEvent::Trigger { trigger } => turn.trigger(trigger),
        RepoEvent::Owe { effect } => {
            turn.owe((**effect).clone());
            Answer::Done { run: None }
        }
        RepoEvent::Due => turn.due(),
    };
    if turn.changed && !matches!(envelope.event, RepoEvent::Due) {
        turn.head.remember(&envelope.id, answer.clone());
    }
    turn.file_due();
    let Turn { mut head, changed, .. } = turn;
    if !changed {
        head.revision -= 1;
    }
    RepoDecision { head, answer, changed }
}

struct Turn<'a> {
    head: RepoHead,
    envelope: &'a RepoEnvelope,
    facts: &'a RepoFacts,
    now: UnixMs,
    changed: bool,
}

impl Turn<'_> {
    /// A branch moved. Definitions first: stacks that a commit creates run for that commit.
    fn push(&mut self, push: &Push) -> Answer {
        let known = self.head.branches.get(&push.branch).map(|branch| &branch.head);
        if known == Some(&push.head) {
            return Answer::Stale { why: "this head is known".to_owned() };
        }
        if known != push.before.as_ref() {
            // Out of order: whoever watches compares with what is known and tells again.
            return Answer::Stale { why: "another push came first".to_owned() };
        }
        self.changed = true;
        self.head.pushes += 1;
        let commit = Commit {
            sha: push.head.clone(),
            seq: self.head.pushes,
            author: push.author.clone(),
            subject: push.subject.clone(),
        };
        let (author, subject) = (commit.author.clone(), commit.subject.clone());
        let branch = Branch { head: push.head.clone(), seq: commit.seq, author, subject };
        self.head.branches.insert(push.branch.clone(), branch);
        let on_default = push.branch == self.head.default_branch;
        let waits_for = match (on_default, push.touches_definitions) {
            (true, true) => Some(self.queue_definitions(&commit)),
            // Behind a push whose definitions are being applied, it is routed by those too.
            (true, false) => self.unrouted().map(|pending| pending.run.clone()),
            (false, _) => None,
        };
        let pending = Pending {
            run: waits_for.clone().unwrap_or_default(),
            event: self.envelope.id.clone(),
            at: self.envelope.at,
            push: push.clone(),
            commit,
            seen_revision: self.facts.index.revision,
            routed: false,
        };
        match waits_for {
            Some(run) => {
                self.head.pending.push(pending);
                Answer::Done { run: Some(run) }
            }
            None => {
                self.route(&pending, None);
                Answer::Done { run: None }
            }
        }
    }

    fn unrouted(&self) -> Option<&Pending> {
        self.head.pending.iter().rev().find(|pending| !pending.routed)
    }

    fn queue_definitions(&mut self, commit: &Commit) -> RunId {
        let def = definition::administrative(&self.head.repo, &self.head.default_branch);
        let stack = def.slug.clone();
        let id = RunId::derive(self.envelope.at, &self.envelope.id, &stack);
        let run = NewRun {
            id: id.clone(),
            repository: self.head.repo.clone(),
            branch: self.head.default_branch.clone(),
            because: "the push touched the definitions".to_owned(),
            direct: true,
            ..NewRun::blank(commit.clone())
        };
        // Rises with each push: its definition may say something else by then.
        let revision = commit.seq;
        let define =
            StackEvent::Define { def: Box::new(def), commit: commit.sha.clone(), revision };
        self.tell(&stack, "define", define);
        self.tell(&stack, "queue", StackEvent::Queue { run: Box::new(run) });
        id
    }

    /// The administrative run has ended, or waits for a person: what waited for it is routed, by
    /// the new definitions or by the last good ones.
    fn settled(&mut self, run: &RunId) -> Answer {
        let Some(known) = self.facts.run.as_ref().filter(|known| known.id() == run) else {
            return Answer::Stale { why: "this run has no document yet".to_owned() };
        };
        let state = known.state.name();
        if !state.terminal() && !state.waits_for_person() {
            return Answer::Stale { why: format!("the run is {state}") };
        }
        // A retry stands for the run that it took the place of; any run that went well stands for
        // every older push that still waits for what it created.
        let (origin, seq) = (known.origin().clone(), known.new.commit.seq);
        let good = known.state == State::Finished;
        let concerns = |p: &Pending| {
            p.run == *run || p.run == origin || (good && p.routed && p.commit.seq <= seq)
        };
        let mine: Vec<Pending> =
            self.head.pending.iter().filter(|p| concerns(p)).cloned().collect();
        let Some(newest) = mine.iter().map(|pending| pending.commit.seq).max() else {
            return Answer::Stale { why: "nothing waits for it".to_owned() };
        };
        self.changed = true;
        for pending in &mine {
            match pending.routed {
                false => self.route(pending, Some(pending.seen_revision)),
                true if good && pending.commit.seq == newest => self.route_created(pending),
                true => {}
            }
        }
        let revision = self.facts.index.revision;
        for pending in self.head.pending.iter_mut().filter(|p| concerns(p)) {
            pending.routed = true;
            pending.seen_revision = revision;
        }
        // Definitions that did not go well may be tried again: the newest push waits for that, and
        // what they create then runs for its commit.
        let keep_newest = !good;
        let over = |p: &Pending| p.routed && p.commit.seq <= newest;
        self.head.pending.retain(|p| !over(p) || (keep_newest && p.commit.seq == newest));
        Answer::Done { run: Some(run.clone()) }
    }

    fn route(&mut self, pending: &Pending, newer_than: Option<u64>) {
        let push = &pending.push;
        let tracked = |branch: &str| branch == push.branch;
        let index = &self.facts.index;
        let hits = route::touched(index, &push.files, newer_than, |s| tracked(&s.branch));
        let deployment = route::deployment(&routing(&self.head, pending), index, &hits);
        let others = route::touched(index, &push.files, None, |s| !tracked(&s.branch));
        let is_tracked = index.stacks.iter().any(|s| tracked(&s.branch));
        // A branch that some stack tracks deploys; any other previews.
        let rollout = if is_tracked || push.branch == self.head.default_branch {
            deployment
        } else {
            route::preview(&routing(&self.head, pending), index, &others)
        };
        self.owe(Effect::PutRollout { rollout: Box::new(rollout), sent: 0 });
    }

    /// Once more for the same push: only the stacks that its definitions created meanwhile.
    fn route_created(&mut self, pending: &Pending) {
        let index = &self.facts.index;
        let nothing = crate::event::Files::Known(vec![]);
        let hits = route::touched(index, &nothing, Some(pending.seen_revision), |s| {
            s.branch == pending.push.branch
        });
        if hits.is_empty() {
            return;
        }
        let event = EventId(derive(&["created", &pending.event.0]));
        let again = Pending { event, ..pending.clone() };
        let rollout = route::deployment(&routing(&self.head, &again), index, &hits);
        self.owe(Effect::PutRollout { rollout: Box::new(rollout), sent: 0 });
    }

    fn trigger(&mut self, trigger: &Trigger) -> Answer {
        let answer = self.start(trigger);
        self.changed = true;
        let (run, note) = match &answer {
            Answer::Done { run } => (run.clone(), None),
            Answer::Stale { why } | Answer::Refused { why } | Answer::NotFound { why } => {
                (None, Some(why.clone()))
            }
        };
        let entry = AuditEntry {
            id: self.envelope.id.clone(),
            at: self.envelope.at,
            actor: trigger.actor.clone(),
            action: format!("trigger {}", trigger.kind.as_str().to_lowercase()),
            stack: Some(trigger.stack.clone()),
            run,
            from: None,
            to: None,
            note,
        };
        self.owe(Effect::Audit { entry: Box::new(entry) });
        answer
    }

    fn start(&mut self, trigger: &Trigger) -> Answer {
        let slug = &trigger.stack;
        let administrative = *slug == definition::administrative_slug(&self.head.repo);
        let stacks = &self.facts.index.stacks;
        let indexed = stacks.iter().find(|stack| stack.stack == *slug).cloned();
        let branch = match &indexed {
            Some(indexed) => indexed.branch.clone(),
            None if administrative => self.head.default_branch.clone(),
            None => return Answer::NotFound { why: format!("there is no stack {slug}") },
        };
        let latest = self.head.branches.get(&branch).map(Branch::commit);
        let pinned = trigger.commit.is_some();
        let Some(commit) = trigger.commit.clone().or(latest) else {
            return Answer::Refused { why: format!("{branch} has no commit yet") };
        };
        let actor = trigger.actor.as_str();
        let because = match trigger.drift {
            true => "drift was found".to_owned(),
            false => format!("{actor} asked for it"),
        };
        if administrative || trigger.kind == RunType::Destroy {
            if trigger.kind == RunType::Destroy && indexed.is_none_or(|s| s.protected) {
                return Answer::Refused { why: format!("{slug} is protected from deletion") };
            }
            return self.single(trigger, branch, commit, because);
        }
        let event = self.envelope.id.clone();
        let routing = Routing {
            event: &event,
            at: self.envelope.at,
            repository: &self.head.repo,
            branch: &branch,
            commit: &commit,
            triggered_by: Some(actor),
        };
        let hits = [Touched { stack: slug.clone(), because }];
        let mut rollout = route::deployment(&routing, &self.facts.index, &hits);
        for run in rollout.runs.iter_mut().filter(|run| run.stack == *slug) {
            run.run.pinned = pinned;
            run.run.force_apply = trigger.force_apply;
            run.run.drift = trigger.drift;
        }
        let id = RunId::derive(self.envelope.at, &event, slug);
        self.owe(Effect::PutRollout { rollout: Box::new(rollout), sent: 0 });
        Answer::Done { run: Some(id) }
    }

    /// A run that nothing follows: a destroy, or the administrative stack's own.
    fn single(
        &mut self,
        trigger: &Trigger,
        branch: String,
        commit: Commit,
        because: String,
    ) -> Answer {
        let id = RunId::derive(self.envelope.at, &self.envelope.id, &trigger.stack);
        let run = NewRun {
            id: id.clone(),
            kind: trigger.kind,
            repository: self.head.repo.clone(),
            branch,
            pinned: trigger.commit.is_some(),
            triggered_by: Some(trigger.actor.clone()),
            because,
            direct: true,
            ..NewRun::blank(commit)
        };
        self.tell(&trigger.stack, "queue", StackEvent::Queue { run: Box::new(run) });
        Answer::Done { run: Some(id) }
    }

    fn branch_deleted(&mut self, branch: &str) -> Answer {
        self.changed = self.head.branches.remove(branch).is_some();
        // It may come again with the same commit: that is another push.
        self.head.pushes += u64::from(self.changed);
        match self.changed {
            true => Answer::Done { run: None },
            false => Answer::Stale { why: "this branch is not known".to_owned() },
        }
    }

    fn due(&mut self) -> Answer {
        self.head.due_minute = None;
        self.changed = true;
        match waiting(&self.head).map(|pending| pending.run.clone()) {
            Some(run) => self.settled(&run),
            None => Answer::Done { run: None },
        }
    }

    /// While something waits or is owed, the tick comes back each minute.
    fn file_due(&mut self) {
        let waits = waiting(&self.head).is_some() || !self.head.outbox.is_empty();
        if !self.changed || !waits || self.head.due_minute.is_some() {
            return;
        }
        self.head.due_minute = Some(self.now.plus_ms(MINUTE_MS).minute() + 1);
    }

    fn tell(&mut self, stack: &StackId, what: &str, event: StackEvent) {
        let id = EventId(derive(&[what, &self.envelope.id.0, &stack.0]));
        let hops = self.envelope.hops + 1;
        let at = self.envelope.at;
        let event = StackEnvelope { id, stack: stack.clone(), at, hops, event };
        self.owe(Effect::ToStack { event: Box::new(event) });
    }

    fn owe(&mut self, effect: Effect) {
        self.changed = true;
        self.head.owe(effect, self.now);
    }
}

/// The oldest push that was not routed yet.
fn waiting(head: &RepoHead) -> Option<&Pending> {
    head.pending.iter().find(|pending| !pending.routed)
}

fn routing<'a>(head: &'a RepoHead, pending: &'a Pending) -> Routing<'a> {
    Routing {
        event: &pending.event,
        at: pending.at,
        repository: &head.repo,
        branch: &pending.push.branch,
        commit: &pending.commit,
        triggered_by: None,
    }
}

#[cfg(test)]
#[path = "decide_table.rs"]
mod tests;
