//! Definitions that change while runs wait.
use super::*;
use crate::definition::fixture;
use crate::run::{Commit, State};

fn event(id: &str, event: StackEvent) -> StackEnvelope {
    StackEnvelope { id: id.into(), stack: "s".into(), at: UnixMs(1), hops: 0, event }
}

fn take(head: StackHead, id: &str, what: StackEvent) -> StackHead {
    decide(head, &event(id, what), &Facts::default(), UnixMs(1)).head
}

fn define(branch: &str, repository: &str, revision: u64) -> StackEvent {
    let def = StackDef { branch: branch.to_owned(), repository: repository.into(), ..fixture("s") };
    StackEvent::Define { def: Box::new(def), commit: "c".into(), revision }
}

fn commit(sha: &str, seq: u64) -> Commit {
    Commit { sha: sha.into(), seq, ..Commit::default() }
}

fn queue(id: &str, branch: &str, repository: &str, commit: Commit) -> StackEvent {
    let run = NewRun {
        id: id.into(),
        branch: branch.to_owned(),
        repository: repository.into(),
        direct: true,
        ..NewRun::blank(commit)
    };
    StackEvent::Queue { run: Box::new(run) }
}

/// Commits of two branches or repositories have no order, though their numbers do.
#[test]
fn a_stack_that_moved_never_runs_a_commit_of_where_it_was() {
    #[rustfmt::skip]
    let table = [
        // name                       branch  repository  asked for                             expect
        ("it stays where it is",      "main", "infra", queue("r2", "main", "infra", commit("low", 3)),  Some("high")),
        ("another branch",            "prod", "infra", queue("r2", "prod", "infra", commit("low", 3)),  Some("low")),
        ("another repository",        "main", "other", queue("r2", "main", "other", commit("low", 3)),  Some("low")),
        ("a run of the old branch",   "prod", "infra", queue("r2", "main", "infra", commit("old", 99)), None),
    ];
    for (name, branch, repository, asked, expect) in table {
        let mut head = take(StackHead::new(&"s".into()), "d1", define("main", "infra", 1));
        head.tracked = Some(commit("high", 9));
        head = take(head, "d2", define(branch, repository, 2));
        head = take(head, "q", asked);
        let got = head.active.as_ref().map(|run| run.new.commit.sha.as_str());
        assert_eq!(got, expect, "{name}");
    }
}

/// The destroy of a stack that left the definitions is dropped when it comes back in time.
#[test]
fn a_stack_that_comes_back_is_not_destroyed() {
    for busy in [true, false] {
        let mut head = take(StackHead::new(&"s".into()), "d1", define("main", "infra", 1));
        head.tracked = Some(commit("c", 1));
        if busy {
            head = take(head, "q", queue("r1", "main", "infra", commit("c", 1)));
        }
        head = take(head, "u", StackEvent::Undefine { revision: 2, destroy: true });
        assert!(head.open().any(|run| run.new.kind == RunType::Destroy), "busy {busy}");
        head = take(head, "d2", define("main", "infra", 3));
        let wanted = |run: &&Run| {
            run.new.kind == RunType::Destroy && !matches!(run.state, State::Canceling { .. })
        };
        assert_eq!(head.open().filter(wanted).count(), 0, "busy {busy}");
        assert!(matches!(head.defined, Defined::Yes { .. }), "busy {busy}");
    }
}
