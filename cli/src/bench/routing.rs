//! From a push to its stacks: the index's bytes decoded, stacks matched, the rollout planned.
use super::life::definition;
use crate::exit::Failure;
use std::hint::black_box;
use std::time::Instant;
use windlass_core::definition::StackDef;
use windlass_core::event::Files;
use windlass_core::id::{EventId, RepoName};
use windlass_core::index::{Catalog, Cataloged, RepoIndex, reconcile};
use windlass_core::rollout::Rollout;
use windlass_core::route::{Routing, deployment, touched};
use windlass_core::run::Commit;
use windlass_core::time::UnixMs;
use windlass_ports::cas::Stored;
use windlass_report::Report;
use windlass_report::stats::{median, ms};

const STACKS: usize = 10_000;
const ELSEWHERE: usize = 100_000;
const HITS: usize = 10;
const WARM_UP: usize = 5;
const TIMES: usize = 41;

/// One in ten has globs, one in ten runs after its neighbour, which is in no list of hits twice.
fn stack(n: usize) -> StackDef {
    let slug = format!("stack-{n:05}");
    let neighbour = format!("stack-{:05}", n.saturating_sub(1));
    let globs = match n % 10 {
        3 => vec![format!("modules/module-{}/**/*.tf", n % 500), "shared/*.tfvars".to_owned()],
        _ => vec![],
    };
    StackDef {
        project_root: format!("teams/team-{:03}/{slug}", n % 200),
        additional_project_globs: globs,
        ..definition(&slug, (n % 10 == 5).then_some(neighbour.as_str()))
    }
}

/// The repository's index as it is stored, with so many stacks in other repositories.
fn index_bytes(elsewhere: usize) -> Result<Vec<u8>, Failure> {
    let mut catalog = Catalog { revision: 1, ..Catalog::default() };
    for n in 0..elsewhere {
        let owner = RepoName(format!("repository-{}", n % 50));
        let parents = definition("x", (n % 10 == 5).then_some("x")).depends_on;
        let known = Cataloged {
            owner: owner.clone(),
            space: "root".into(),
            since: 1,
            repository: owner,
            branch: "main".to_owned(),
            root: format!("stacks/other-{n:06}"),
            globs: vec![],
            protected: false,
            parents,
        };
        catalog.stacks.insert(format!("other-{n:06}").into(), known);
    }
    let definitions: Vec<StackDef> = (0..STACKS).map(stack).collect();
    let sha = "4f2c91ab00000000000000000000000000000000".into();
    let mut reconciled = reconcile(&catalog, &"infra".into(), &sha, &definitions);
    let index = reconciled.indexes.remove(&RepoName::from("infra"));
    let value = index.ok_or_else(|| Failure::failed("the index was not made"))?;
    let stored = Stored { schema: 1, revision: 1, write_id: "w".to_owned(), value };
    serde_json::to_vec(&stored)
        .map_err(|e| Failure::failed("the index does not serialise").because(e))
}

/// Five stacks by their folders, one of them by a glob only, and five that follow.
fn push() -> Files {
    let mut files: Vec<String> = [1_004, 2_014, 3_024, 4_034]
        .iter()
        .map(|n| format!("{}/main.tf", stack(*n).project_root))
        .collect();
    // Its module has no other user: 500 modules, and only one stack in ten uses one.
    files.push(format!("{}/variables.tf", stack(5_044).project_root));
    files.push("README.md".to_owned());
    Files::Known(files)
}

fn route(bytes: &[u8], files: &Files) -> Option<Rollout> {
    let stored: Stored<RepoIndex> = serde_json::from_slice(bytes).ok()?;
    let (event, repository) = (EventId::from("push-1"), RepoName::from("infra"));
    let commit = Commit { sha: "4f2c91ab".into(), seq: 7, ..Commit::default() };
    let routing = Routing {
        event: &event,
        at: UnixMs(1_795_343_730_000),
        repository: &repository,
        branch: "main",
        commit: &commit,
        triggered_by: None,
    };
    let hits = touched(&stored.value, files, None, |stack| stack.branch == "main");
    Some(deployment(&routing, &stored.value, &hits))
}

pub(crate) fn measure() -> Result<Report, Failure> {
    let (alone, among) = (index_bytes(0)?, index_bytes(ELSEWHERE)?);
    let files = push();
    for bytes in [&alone, &among] {
        let runs = route(bytes, &files).map_or(0, |rollout| rollout.runs.len());
        if runs != HITS {
            return Err(Failure::failed(format!("the push met {runs} stacks instead of {HITS}")));
        }
    }
    // In turns: whatever else the machine does, it does to both.
    let (mut alone_ms, mut among_ms) = (Vec::new(), Vec::new());
    for time in 0..WARM_UP + TIMES {
        for (bytes, samples) in [(&alone, &mut alone_ms), (&among, &mut among_ms)] {
            let began = Instant::now();
            black_box(route(bytes, &files));
            if time >= WARM_UP {
                samples.push(ms(began.elapsed()));
            }
        }
    }
    let (alone_ms, among_ms) = (median(&alone_ms), median(&among_ms));
    let mut report = Report::new(
        "routing",
        "From the index's bytes to the runs of a push: 10 of 10 000 stacks, one in ten with globs",
    );
    report.figure("route_ms", alone_ms, "ms", "10 of 10 000 stacks").at_most = Some(10.0);
    let what = "the same with 100 000 stacks in other repositories";
    report.figure("route_among_many_ms", among_ms, "ms", what).at_most = Some(10.0);
    let more = (among_ms / alone_ms - 1.0) * 100.0;
    report.figure("change_percent", more, "%", "what those change").at_most = Some(10.0);
    let size = super::store::count(alone.len()) / 1_000.0;
    report.figure("index_kb", size, "kB", "the index");
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_meets_ten_stacks_however_many_are_elsewhere() {
        let (alone, among) = (index_bytes(0).unwrap(), index_bytes(1_000).unwrap());
        for bytes in [&alone, &among] {
            assert_eq!(route(bytes, &push()).map(|rollout| rollout.runs.len()), Some(HITS));
        }
        assert_eq!(alone.len(), among.len());
    }
}
