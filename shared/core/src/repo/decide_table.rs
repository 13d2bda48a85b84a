//! Pushes, definitions and triggers, as a repository's actor meets them.
use super::*;
use crate::definition::{DependsOn, StackDef, administrative_slug, fixture};
use crate::event::Files;
use crate::id::RepoName;
use crate::index::{Catalog, reconcile};
use crate::rollout::Rollout;
use crate::run::{Ending, JobRef, Planned};

const NOW: UnixMs = UnixMs(1_000_000);

/// A repository being driven: its head, its index, and what it owed so far.
struct Repo {
    head: RepoHead,
    facts: RepoFacts,
    catalog: Catalog,
    owed: Vec<Effect>,
    events: u32,
}

impl Repo {
    fn new(stacks: &[StackDef]) -> Self {
        let head = RepoHead::new(&"infra".into(), "main");
        let (facts, catalog) = (RepoFacts::default(), Catalog::default());
        let mut repo = Repo { head, facts, catalog, owed: vec![], events: 0 };
        repo.index(stacks);
        repo
    }

    /// The definitions became these.
    fn index(&mut self, stacks: &[StackDef]) {
        let infra = RepoName::from("infra");
        let done = reconcile(&self.catalog, &infra, &"c".into(), stacks);
        if let Some(index) = done.indexes.get(&infra) {
            self.facts.index = index.clone();
        }
        self.catalog = done.catalog;
    }

    fn take(&mut self, event: RepoEvent) -> Answer {
        self.events += 1;
        let id = format!("event-{}", self.events);
        self.take_as(&id, event)
    }

    fn take_as(&mut self, id: &str, event: RepoEvent) -> Answer {
        let envelope =
            RepoEnvelope { id: id.into(), repo: "infra".into(), at: NOW, hops: 0, event };
        let decision = decide(self.head.clone(), &envelope, &self.facts, NOW);
        self.head = decision.head;
        self.owed.extend(self.head.outbox.drain(..).map(|entry| entry.effect));
        decision.answer
    }

    fn push(&mut self, branch: &str, before: Option<&str>, head: &str, files: &[&str]) -> Answer {
        self.take(push(branch, before, head, files))
    }

    /// Its administrative run is in this state now, and says so.
    fn settled(&mut self, run: &RunId, state: State) -> Answer {
        let new = NewRun { id: run.clone(), ..NewRun::blank(Commit::default()) };
        let mut document = Run::create(new, &"infra-definitions".into(), &"e".into(), NOW);
        document.state = state;
        self.facts.run = Some(document);
        self.take(RepoEvent::DefinitionsSettled { run: run.clone() })
    }

    /// The rollouts that were made since the last look: for each, its commit and its stacks.
    fn rollouts(&mut self) -> Vec<(String, Vec<String>)> {
        let view = |rollout: &Rollout| {
            let stacks =
                rollout.runs.iter().map(|r| format!("{} {}", r.run.kind.as_str(), r.stack));
            (rollout.commit.sha.0.clone(), stacks.collect())
        };
        let owed = std::mem::take(&mut self.owed);
        owed.iter()
            .filter_map(|effect| match effect {
                Effect::PutRollout { rollout, .. } => Some(view(rollout)),
                _ => None,
            })
            .collect()
    }
}

fn push(branch: &str, before: Option<&str>, head: &str, files: &[&str]) -> RepoEvent {
    let touches_definitions = files.contains(&"windlass.yaml");
    RepoEvent::Push {
        push: Box::new(Push {
            branch: branch.to_owned(),
            head: head.into(),
            before: before.map(Into::into),
            author: String::new(),
            subject: String::new(),
            files: Files::Known(files.iter().map(|file| (*file).to_owned()).collect()),
            touches_definitions,
        }),
    }
}

fn run_of(answer: &Answer) -> RunId {
    match answer {
        Answer::Done { run: Some(run) } => run.clone(),
        other => panic!("{other:?}"),
    }
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } => "done",
        Answer::Stale { .. } => "stale",
        Answer::Refused { .. } => "refused",
        Answer::NotFound { .. } => "not found",
    }
}

fn unconfirmed() -> State {
    let plan = crate::job::PlanRef { key: String::new(), digest: crate::id::Digest::of(b"p") };
    let delta = crate::job::Delta::default();
    State::Unconfirmed { planned: Planned { plan, round: 0, delta, warnings: vec![] } }
}

fn rollout(sha: &str, stacks: &[&str]) -> (String, Vec<String>) {
    (sha.to_owned(), stacks.iter().map(|stack| (*stack).to_owned()).collect())
}

#[test]
fn pushes_in_and_out_of_order() {
    #[rustfmt::skip]
    let table = [
        // name                     branch     before     head  answer   rollouts
        ("the next one",            "main",    Some("a"), "b",  "done",  vec![rollout("b", &["TRACKED net"])]),
        ("the same again",          "main",    None,      "a",  "stale", vec![]),
        ("one that came too early", "main",    Some("b"), "c",  "stale", vec![]),
        ("forced back to another",  "main",    Some("a"), "z",  "done",  vec![rollout("z", &["TRACKED net"])]),
        ("another branch",          "feature", None,      "f",  "done",  vec![rollout("f", &["PROPOSED net"])]),
        ("another branch's second", "feature", Some("e"), "f",  "stale", vec![]),
    ];
    for (name, branch, before, head, answer, rollouts) in table {
        let mut repo = Repo::new(&[fixture("net")]);
        repo.push("main", None, "a", &["net/main.tf"]);
        repo.rollouts();
        let got = repo.push(branch, before, head, &["net/main.tf"]);
        assert_eq!((word(&got), repo.rollouts()), (answer, rollouts), "{name}");
    }
}

/// A branch that is deleted and comes again with the same commit is another push of it.
#[test]
fn a_deleted_branch_may_come_again() {
    let mut repo = Repo::new(&[fixture("net")]);
    repo.push("feature", None, "f", &["net/main.tf"]);
    let deleted = || RepoEvent::BranchDeleted { branch: "feature".to_owned() };
    assert_eq!(word(&repo.take(deleted())), "done");
    assert_eq!(word(&repo.take(deleted())), "stale");
    repo.rollouts();
    repo.push("feature", None, "f", &["net/main.tf"]);
    assert_eq!(repo.rollouts().len(), 1);
    assert_eq!(repo.head.branches["feature"].seq, 3);
}

/// A message that comes twice is decided once; after the ring forgot, its branch still knows.
#[test]
fn a_push_that_comes_again_is_routed_once() {
    let mut repo = Repo::new(&[fixture("net")]);
    for forgets in [false, true] {
        repo.take_as("delivery", push("main", None, "a", &["net/main.tf"]));
        assert_eq!(repo.rollouts().len(), usize::from(!forgets));
        repo.head.recent.clear();
    }
}

/// Definitions first: a push that touches them is routed once they are settled, with the stacks
/// that it creates; what comes behind it waits with it.
#[test]
fn definitions_are_settled_before_a_push_is_routed() {
    let mut repo = Repo::new(&[fixture("net")]);
    let run = run_of(&repo.push("main", None, "a", &["windlass.yaml", "net/main.tf"]));
    assert_eq!(run_of(&repo.push("main", Some("a"), "b", &["net/main.tf"])), run);
    assert_eq!((repo.head.pending.len(), repo.rollouts()), (2, vec![]));
    // A preview waits for nobody.
    repo.push("feature", None, "f", &["net/main.tf"]);
    assert_eq!(repo.rollouts(), [rollout("f", &["PROPOSED net"])]);

    let busy = State::Ready { job: JobRef::first(crate::job::Phase::Plan) };
    assert_eq!(word(&repo.settled(&run, busy)), "stale");
    repo.index(&[fixture("net"), fixture("new")]);
    assert_eq!(word(&repo.settled(&run, State::Finished)), "done");
    let expect = [
        rollout("a", &["TRACKED net", "TRACKED new"]),
        rollout("b", &["TRACKED net", "TRACKED new"]),
    ];
    assert_eq!(repo.rollouts(), expect);
    assert_eq!((word(&repo.settled(&run, State::Finished)), repo.head.pending.len()), ("stale", 0));
}

/// While a person is asked, the last good definitions route; what the new ones create runs for
/// that commit once they are confirmed.
#[test]
fn definitions_that_wait_for_a_person_hold_up_nothing() {
    for (confirmed, expect) in [(true, vec![rollout("a", &["TRACKED new"])]), (false, vec![])] {
        let mut repo = Repo::new(&[fixture("net")]);
        let run = run_of(&repo.push("main", None, "a", &["windlass.yaml", "net/main.tf"]));
        repo.settled(&run, unconfirmed());
        assert_eq!(repo.rollouts(), [rollout("a", &["TRACKED net"])]);
        let (by, note) = ("ann".to_owned(), None);
        if confirmed {
            repo.index(&[fixture("net"), fixture("new")]);
            repo.settled(&run, State::Finished);
        } else {
            repo.settled(&run, State::Discarded { by, note });
        }
        assert_eq!(repo.rollouts(), expect, "confirmed: {confirmed}");
    }
}

/// The news that definitions are settled may be lost: the tick asks for it.
#[test]
fn a_tick_looks_for_definitions_that_were_settled() {
    let mut repo = Repo::new(&[fixture("net")]);
    let run = run_of(&repo.push("main", None, "a", &["windlass.yaml", "net/main.tf"]));
    assert!(repo.head.due_minute.is_some(), "it will be woken");
    let (busy, to) = (JobRef::first(crate::job::Phase::Plan), Ending::Canceled);
    let canceling = State::Canceling { job: busy, to, by: "ann".to_owned(), note: None };
    repo.settled(&run, canceling);
    let due = |head: &RepoHead| {
        let (id, repo, event) = ("due".into(), "infra".into(), RepoEvent::Due);
        wants(head, &RepoEnvelope { id, repo, at: NOW, hops: 0, event }).run
    };
    assert_eq!(due(&repo.head), Some(run));
    repo.facts.run.as_mut().expect("a run").state = State::Finished;
    repo.take(RepoEvent::Due);
    assert_eq!(repo.rollouts(), [rollout("a", &["TRACKED net"])]);
    assert_eq!(due(&repo.head), None);
}

#[test]
fn triggers() {
    let keep = |slug: &str| StackDef { protect_from_deletion: true, ..fixture(slug) };
    let edge = DependsOn { stack: "net".into(), references: vec![] };
    let app = StackDef { depends_on: vec![edge], ..fixture("app") };
    let side = StackDef { branch: "side".to_owned(), ..fixture("side") };
    let own = administrative_slug(&"infra".into());
    use RunType::{Destroy, Tracked};
    #[rustfmt::skip]
    let table = [
        // name                             stack         kind     answer       rollout's stacks
        ("with all that depend on it",      "net",        Tracked, "done",      vec!["TRACKED app", "TRACKED net"]),
        ("one that nothing depends on",     "app",        Tracked, "done",      vec!["TRACKED app"]),
        ("a destroy is followed by nobody", "net",        Destroy, "done",      vec![]),
        ("a protected one is not destroyed","keep",       Destroy, "refused",   vec![]),
        ("but it runs",                     "keep",       Tracked, "done",      vec!["TRACKED keep"]),
        ("a branch without a commit",       "side",       Tracked, "refused",   vec![]),
        ("an unknown one",                  "nobody",     Tracked, "not found", vec![]),
        ("the definitions themselves",      own.as_str(), Tracked, "done",      vec![]),
        ("which can't be destroyed",        own.as_str(), Destroy, "refused",   vec![]),
    ];
    for (name, stack, kind, answer, stacks) in table {
        let mut repo = Repo::new(&[fixture("net"), app.clone(), keep("keep"), side.clone()]);
        repo.push("main", None, "a", &["README.md"]);
        repo.rollouts();
        let (stack, actor) = (StackId::from(stack), "ann".to_owned());
        let trigger =
            Trigger { stack, kind, commit: None, actor, force_apply: false, drift: false };
        let got = repo.take(RepoEvent::Trigger { trigger: Box::new(trigger) });
        let audited = repo.owed.iter().filter(|e| matches!(e, Effect::Audit { .. })).count();
        let made: Vec<String> =
            repo.rollouts().into_iter().flat_map(|(_, stacks)| stacks).collect();
        assert_eq!(
            (word(&got), made),
            (answer, stacks.iter().map(|s| (*s).to_owned()).collect()),
            "{name}"
        );
        assert_eq!(audited, 1, "{name}");
    }
}
