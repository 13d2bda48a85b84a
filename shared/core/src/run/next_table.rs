//! Every state meets every event; the whole machine is one picture to review.
use super::*;
use crate::id::Digest;
use crate::job::{Attempt, Delta, PlanRef};
use crate::run::reason::SkipReason;
use crate::time::UnixMs;

fn planned() -> Planned {
    let plan = PlanRef { key: "plans/r/p".into(), digest: Digest::of(b"plan") };
    Planned { plan, round: 0, delta: Delta { add: 1, change: 0, delete: 0 }, warnings: vec![] }
}

fn held(job: JobRef) -> Held {
    Held { job, worker: "w".into(), stop: None, silent: None }
}

/// One state of each name, as it is reached by a run whose plan is at its second attempt.
fn states(kind: RunType) -> Vec<State> {
    let plan = JobRef { phase: first_phase(kind), round: 0, attempt: Attempt(2) };
    let apply = JobRef::first(Phase::Apply);
    let replan = JobRef { phase: Phase::Plan, round: 1, attempt: Attempt(1) };
    let by = || "ann".to_owned();
    let mut states = vec![
        State::Queued,
        State::Ready { job: plan },
        State::Canceling { job: plan, to: Ending::Canceled, by: by(), note: None },
        State::Preparing { held: held(plan) },
        State::Initializing { held: held(plan) },
    ];
    match kind {
        RunType::Proposed => states.extend([
            State::Planning { held: held(plan) },
            State::PendingReview { planned: planned() },
        ]),
        RunType::Tracked => states.extend([
            State::Planning { held: held(plan) },
            State::Unconfirmed { planned: planned() },
            State::ReplanRequested { job: replan, targets: vec![] },
            State::PreparingReplan { held: held(replan), targets: vec![] },
            State::Confirmed { job: apply, planned: planned() },
            State::PreparingApply { held: held(apply), planned: planned() },
            State::Applying { held: held(apply), planned: planned() },
        ]),
        RunType::Destroy => states.push(State::Destroying { held: held(plan) }),
        RunType::Task => states.push(State::Performing { held: held(plan) }),
    }
    states.push(State::Finished);
    states
}

/// Every event; those about a job name the job that the state holds, or the first plan.
fn events(state: &State, kind: RunType) -> Vec<(&'static str, Event)> {
    let job = state.job().unwrap_or(JobRef::first(first_phase(kind)));
    let old = JobRef::first(first_phase(kind));
    let worker = || InstanceId::from("w");
    let by = || "ann".to_owned();
    let reason = || FailReason::NotDefined;
    let step = match job.phase {
        Phase::Plan => Step::Planning,
        Phase::Apply => Step::Applying,
        Phase::Destroy => Step::Destroying,
        Phase::Task => Step::Performing,
    };
    let gate = if kind == RunType::Tracked { Gate::Confirm } else { Gate::Finish };
    vec![
        ("release", Event::Release),
        ("refuse", Event::Refuse { reason: reason() }),
        ("skip", Event::Skip { why: SkipReason::ParentFailed { parents: vec![] } }),
        ("prepare", Event::Began { job, worker: worker(), step: Step::Preparing }),
        ("work", Event::Began { job, worker: worker(), step }),
        ("planned", Event::Planned { job, planned: planned(), gate }),
        ("done", Event::Done { job }),
        ("broke", Event::Broke { job, reason: reason() }),
        ("old", Event::Broke { job: old, reason: reason() }),
        ("interr.", Event::Interrupted { job }),
        ("silent", Event::Silent { job, at: UnixMs(1) }),
        ("lost", Event::Lost { job, cause: "gone".into() }),
        ("withdr.", Event::Withdrawn { job }),
        ("taken", Event::Taken { job, worker: worker() }),
        ("confirm", Event::Confirm { by: by() }),
        ("approve", Event::Approve { by: by() }),
        ("discard", Event::Discard { by: by(), note: None }),
        ("cancel", Event::Cancel { by: by(), note: None }),
        ("stop", Event::Stop { by: by(), note: None }),
        ("replan", Event::Replan { by: by(), targets: vec![] }),
    ]
}

fn short(state: StateName) -> &'static str {
    match state {
        StateName::Canceling => "CANC-ING",
        StateName::Initializing => "INIT",
        StateName::PendingReview => "REVIEW",
        StateName::Unconfirmed => "UNCONF",
        StateName::ReplanRequested => "REPLAN-R",
        StateName::PreparingReplan => "PREP-RPL",
        StateName::PreparingApply => "PREP-APL",
        StateName::Destroying => "DESTR",
        StateName::Performing => "PERFORM",
        StateName::Preparing => "PREPAR",
        StateName::Confirmed => "CONFIRM",
        StateName::Discarded => "DISCARD",
        other => other.as_str(),
    }
}

fn picture(kind: RunType) -> String {
    let mut text = format!("{:<9}", kind.as_str());
    for (name, _) in events(&State::Queued, kind) {
        text += &format!("{name:<9}");
    }
    text = text.trim_end().to_owned() + "\n";
    for state in states(kind) {
        let mut row = format!("{:<9}", short(state.name()));
        for (_, event) in events(&state, kind) {
            let cell = match next(&state, kind, &event) {
                Ok(to) => short(to.name()),
                Err(Refused::Stale { .. }) => "stale",
                Err(Refused::Illegal { .. }) => "-",
            };
            row += &format!("{cell:<9}");
        }
        text += row.trim_end();
        text += "\n";
    }
    text
}

/// `REGEN=1 cargo test -p windlass-core` rewrites the picture; review it as you would code.
#[test]
fn transition_table() {
    let all = [RunType::Proposed, RunType::Tracked, RunType::Destroy, RunType::Task];
    let got = all.map(picture).join("\n");
    #[expect(clippy::disallowed_methods, reason = "a golden test reads and rewrites its own file")]
    {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/transitions.txt");
        if std::env::var("REGEN").is_ok() {
            std::fs::write(path, &got).unwrap();
        }
        assert_eq!(got, std::fs::read_to_string(path).unwrap_or_default());
    }
}

#[test]
fn terminal_states_are_final() {
    for kind in [RunType::Proposed, RunType::Tracked, RunType::Destroy, RunType::Task] {
        for (name, event) in events(&State::Finished, kind) {
            assert!(next(&State::Finished, kind, &event).is_err(), "{name}");
        }
    }
}

#[test]
fn a_plan_is_made_again_at_most_twice() {
    let mut state = State::Ready { job: JobRef::first(Phase::Plan) };
    for expect in [StateName::Ready, StateName::Ready, StateName::Failed] {
        let job = state.job().unwrap();
        let lost = Event::Lost { job, cause: "killed".into() };
        state = next(&state, RunType::Tracked, &lost).unwrap();
        assert_eq!(state.name(), expect);
    }
}

#[test]
fn a_stop_that_comes_too_late_for_the_plan_keeps_the_apply_from_happening() {
    let job = JobRef::first(Phase::Plan);
    let planning = State::Planning { held: held(job) };
    let stop = Event::Stop { by: "ann".into(), note: None };
    let asked = next(&planning, RunType::Tracked, &stop).unwrap();
    let planned = Event::Planned { job, planned: planned(), gate: Gate::Apply };
    let end = next(&asked, RunType::Tracked, &planned).unwrap();
    assert_eq!(end, State::Stopped { by: "ann".into(), note: None });
}
