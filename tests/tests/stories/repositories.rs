//! Branches that are rewritten and deleted under us.
use e2e::proofs::Times;
use e2e::up::id;
use e2e::{SHORT, until};

#[test]
fn branches_that_are_rewritten_and_deleted_break_nothing() {
    let world = crate::world("terraform");
    let first = world.define(&[("one", "")]).code("one", "first").repo.commit("First");
    let up = world.up(2);
    let run = up.reaches("one", &first, "UNCONFIRMED");

    // A preview, rewritten, and gone.
    world.repo.git(&["checkout", "--quiet", "-b", "idea"]);
    let idea = world.code("one", "idea").repo.commit("An idea");
    up.reaches_as("one", &idea, "PROPOSED", "FINISHED");
    world.code("one", "better idea").repo.git(&["add", "--all"]);
    world.repo.git(&["commit", "--quiet", "--amend", "--message", "A better idea"]);
    let better = world.repo.head();
    up.reaches_as("one", &better, "PROPOSED", "FINISHED");
    world.repo.git(&["checkout", "--quiet", "main"]);
    world.repo.git(&["branch", "--quiet", "-D", "idea"]);

    // The tracked branch, rewritten; nothing in the repository knows the first commit any more.
    world.code("one", "second").repo.git(&["add", "--all"]);
    world.repo.git(&["commit", "--quiet", "--amend", "--message", "Second, instead of first"]);
    let second = world.repo.head();
    world.repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.repo.git(&["gc", "--quiet", "--prune=now"]);
    until("the second commit to be queued", SHORT, || {
        let run = up.find("one", &second, "TRACKED")?;
        (run["state"] == "QUEUED").then_some(()).ok_or_else(|| run["state"].to_string())
    });

    // What was planned can still be applied: its commit is kept here.
    up.confirm(&up.becomes(id(&run), "UNCONFIRMED"));
    up.becomes(id(&run), "FINISHED");
    up.confirm(&up.reaches("one", &second, "UNCONFIRMED"));
    up.reaches("one", &second, "FINISHED");
    let state = world.real_state("one");
    assert_eq!(state["values"]["outputs"]["it"]["value"], "second");
    world.prove(&up, Times::Peaceful);
}
