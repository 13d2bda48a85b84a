//! What is told of every state.
use super::*;
use crate::id::Digest;
use crate::job::{Attempt, Delta, JobId, PlanRef, Step};
use crate::rollout::Wait;
use crate::run::{Commit, Ending, Held, JobRef, NewRun, Planned, SkipReason};
use crate::time::UnixMs;

fn run(kind: RunType, state: State) -> Run {
    let commit = Commit { sha: "c0ffee".into(), seq: 1, ..Commit::default() };
    let new = NewRun { id: "r".into(), kind, repository: "infra".into(), ..NewRun::blank(commit) };
    let mut run = Run::create(new, &"net".into(), &"e".into(), UnixMs(0));
    run.state = state;
    run
}

#[test]
fn what_each_state_says() {
    use RunType::{Destroy, Proposed, Task, Tracked};
    let (job, note) = (JobRef::first(Phase::Plan), Some("not today".to_owned()));
    let held = || Held { job, worker: "w".into(), stop: None, silent: None };
    let plan = PlanRef { key: "k".into(), digest: Digest::of(b"") };
    let delta = Delta { add: 1, change: 2, delete: 0 };
    let planned = || Planned { plan: plan.clone(), round: 0, delta, warnings: vec![] };
    let failed = |reason| State::Failed { reason };
    let step =
        |text: &str| failed(FailReason::Step { step: Step::Planning, text: text.to_owned() });
    let (ann, me) = ("ann".to_owned(), "windlass".to_owned());
    let lost = FailReason::WorkerLost { cause: "it was killed".into() };
    let skip = SkipReason::OutputsUnchanged { parents: vec!["net".into()] };
    let canceling = State::Canceling { job, to: Ending::Canceled, by: ann.clone(), note: None };
    #[rustfmt::skip]
    let table = [
        // kind      state                                                             told
        (Tracked,  State::Queued,                                                      "pending queued"),
        (Tracked,  State::Ready { job },                                               "pending queued"),
        (Tracked,  canceling,                                                          "pending being canceled"),
        (Tracked,  State::Preparing { held: held() },                                  "pending planning"),
        (Proposed, State::Planning { held: held() },                                   "pending planning"),
        (Proposed, State::PendingReview { planned: planned() },                        "pending waits for a review: +1 ~2 -0"),
        (Tracked,  State::Unconfirmed { planned: planned() },                          "pending waits for confirmation: +1 ~2 -0"),
        (Tracked,  State::Confirmed { job, planned: planned() },                       "pending applying: +1 ~2 -0"),
        (Tracked,  State::Applying { held: held(), planned: planned() },               "pending applying: +1 ~2 -0"),
        (Tracked,  State::Finished,                                                    "success no changes"),
        (Tracked,  step("`init` failed:\n\n  Error: no such thing"),                   "failure failed: Error: no such thing"),
        (Tracked,  failed(lost),                                                       "error failed: the worker was lost: it was killed"),
        (Tracked,  failed(FailReason::NotDefined),                                     "error failed: the stack is no longer defined"),
        (Tracked,  failed(FailReason::Rejected { messages: vec![] }),                  "nothing"),
        (Proposed, State::Canceled { by: me, note: note.clone() },                     "error canceled: not today"),
        (Tracked,  State::Stopped { by: ann.clone(), note: None },                     "error stopped by ann"),
        (Tracked,  State::Discarded { by: ann.clone(), note },                         "failure discarded by ann: not today"),
        (Tracked,  State::Skipped { why: skip },                                       "success skipped: nothing that it uses from net changed"),
        (Destroy,  State::Destroying { held: held() },                                 "nothing"),
        (Task,     State::Finished,                                                    "nothing"),
    ];
    for (kind, state, expect) in table {
        let run = run(kind, state);
        assert_eq!(told(&run), expect, "{:?}", run.state);
    }
}

fn told(run: &Run) -> String {
    let Some(Status { said: Said { state, words, .. }, .. }) = Status::of(run) else {
        return "nothing".to_owned();
    };
    format!("{state:?} {words}").replacen(
        &format!("{state:?}"),
        &format!("{state:?}").to_lowercase(),
        1,
    )
}

#[test]
fn what_else_matters() {
    let delta = Some(Delta { add: 1, ..Delta::default() });
    let mut applied = run(RunType::Tracked, State::Finished);
    applied.delta = delta;
    applied.jobs.push(JobId {
        run: "r".into(),
        phase: Phase::Apply,
        round: 0,
        attempt: Attempt(1),
    });
    assert_eq!(told(&applied), "success applied: +1 ~0 -0");

    let mut preview = run(RunType::Proposed, State::Finished);
    preview.delta = delta;
    assert_eq!(told(&preview), "success would change: +1 ~0 -0");
    preview.new.drift = true;
    assert_eq!(told(&preview), "nothing", "drift is no news about a commit");

    let mut child = run(RunType::Tracked, State::Queued);
    for (parent, stack) in [("1", "net"), ("2", "dns")] {
        let wait = Wait { stack: stack.into(), references: vec![], heard: None };
        child.new.waits.insert(parent.into(), wait);
    }
    assert_eq!(told(&child), "pending waits for dns, net");
    child.new.commit.sha = Sha::default();
    assert_eq!(told(&child), "nothing", "there is no commit to say it of");
}

#[test]
fn words_are_one_short_line() {
    let long = format!("{}\nsecond line", "ü".repeat(200));
    let reason = FailReason::Step { step: Step::Planning, text: long };
    let status = Status::of(&run(RunType::Tracked, State::Failed { reason })).expect("told");
    assert_eq!(status.said.words.chars().count(), WORDS_MAX);
    assert!(status.said.words.ends_with('…') && !status.said.words.contains('\n'));
}
