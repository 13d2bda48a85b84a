//! Which files touch which stacks, and what follows.
use super::*;
use crate::definition::{DependsOn, StackDef, fixture};
use crate::index::{Catalog, reconcile};

fn index(stacks: &[StackDef]) -> RepoIndex {
    let done = reconcile(&Catalog::default(), &"infra".into(), &"c".into(), stacks);
    done.indexes.get(&RepoName::from("infra")).cloned().unwrap_or_default()
}
fn known(files: &[&str]) -> Files {
    Files::Known(files.iter().map(|f| (*f).to_owned()).collect())
}
fn after(slug: &str, parents: &[&str]) -> StackDef {
    let edge = |p: &&str| DependsOn { stack: StackId::from(*p), references: vec![] };
    StackDef { depends_on: parents.iter().map(edge).collect(), ..fixture(slug) }
}
fn routing<'a>(event: &'a EventId, commit: &'a Commit, repo: &'a RepoName) -> Routing<'a> {
    Routing { event, at: UnixMs(1), repository: repo, branch: "main", commit, triggered_by: None }
}

#[test]
fn files_touch_stacks_by_root_segment_or_glob() {
    let stack = |root: &str, globs: &[&str]| StackDef {
        project_root: root.into(),
        additional_project_globs: globs.iter().map(|g| (*g).to_owned()).collect(),
        ..fixture("s")
    };
    #[rustfmt::skip]
    let table = [
        // root           globs                  files                      touched
        ("stacks/net",    &[][..],               &["stacks/net/main.tf"][..],      true),
        ("stacks/net",    &[],                   &["stacks/net/mod/x.tf"],         true),
        ("stacks/net",    &[],                   &["stacks/network/main.tf"],      false),
        ("stacks/net",    &[],                   &["README.md"],                   false),
        ("",              &[],                   &["README.md"],                   true),
        ("stacks/net",    &["modules/eks/**"],   &["modules/eks/a/b.tf"],          true),
        ("stacks/net",    &["modules/eks/**"],   &["modules/eks2/a.tf"],           false),
        ("stacks/net",    &["modules/*/x.tf"],   &["modules/a/x.tf"],              true),
        ("stacks/net",    &["modules/*/x.tf"],   &["modules/a/b/x.tf"],            false),
        ("stacks/net",    &["*.md"],             &["README.md"],                   true),
        ("stacks/net",    &["*.md"],             &["docs/README.md"],              false),
        ("stacks/net",    &["**/*.md"],          &["docs/README.md"],              true),
        ("stacks/net",    &["shared.tf"],        &["shared.tf"],                   true),
        ("stacks/net",    &["[bad"],             &["x"],                           false),
    ];
    for (root, globs, files, expect) in table {
        let hit = touched(&index(&[stack(root, globs)]), &known(files), None, |_| true);
        assert_eq!(!hit.is_empty(), expect, "{root} {globs:?} {files:?}");
    }
}

#[test]
fn dependents_follow_and_wait_for_all_their_parents() {
    let index = index(&[
        after("network", &[]),
        after("cluster", &["network"]),
        after("app-a", &["cluster", "network"]),
        after("lonely", &[]),
    ]);
    let (event, repo) = (EventId::from("e"), RepoName::from("infra"));
    let commit = Commit { sha: "abc".into(), seq: 7, ..Commit::default() };
    let hit = touched(&index, &known(&["network/main.tf", "app-a/x"]), None, |_| true);
    let rollout = deployment(&routing(&event, &commit, &repo), &index, &hit);
    let view: Vec<_> = rollout
        .runs
        .iter()
        .map(|r| {
            let waits: Vec<_> = r.run.waits.values().map(|w| w.stack.as_str()).collect();
            let kids: Vec<_> = r.run.children.iter().map(|c| c.stack.as_str()).collect();
            (r.stack.as_str(), r.run.direct, waits, kids, r.run.triggered_by.as_deref())
        })
        .collect();
    assert_eq!(view.len(), 3);
    let of = |slug: &str| view.iter().find(|v| v.0 == slug).unwrap().clone();
    assert_eq!(of("network"), ("network", true, vec![], vec!["app-a", "cluster"], None));
    assert_eq!(of("cluster"), ("cluster", false, vec!["network"], vec!["app-a"], Some("network")));
    let (_, direct, mut waits, ..) = of("app-a");
    waits.sort_unstable();
    assert_eq!((direct, waits), (true, vec!["cluster", "network"]));
    assert!(rollout.runs.iter().all(|r| r.run.commit == commit));
}

#[test]
fn nothing_touched_says_why() {
    let (event, repo, commit) = (EventId::from("e"), RepoName::from("infra"), Commit::default());
    let routing = routing(&event, &commit, &repo);
    let some = index(&[fixture("network")]);
    let none = deployment(&routing, &some, &touched(&some, &known(&["README.md"]), None, |_| true));
    assert_eq!(none.nothing.as_deref(), Some("no stack's root or glob covers what changed"));
}

#[test]
fn a_stack_that_the_commit_created_runs_for_it() {
    let index = index(&[fixture("network")]);
    let hit = touched(&index, &known(&["windlass.yaml"]), Some(0), |_| true);
    assert_eq!(hit[0].because, "the push created it");
    assert!(touched(&index, &known(&["windlass.yaml"]), Some(1), |_| true).is_empty());
}
