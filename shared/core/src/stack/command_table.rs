//! What people ask, against every state in which they may ask it.
use super::super::decide::{Decision, decide};
use super::super::facts::Facts;
use super::super::head::StackHead;
use super::*;
use crate::definition::{StackDef, fixture};
use crate::event::{StackEnvelope, StackEvent};
use crate::job::{Began, Delta, JobId, JobResult, News, Phase, PlanRef, Report, Step, Verdict};
use crate::run::{Commit, NewRun, Run, StateName};
use crate::time::MINUTE_MS;

const RUN: &str = "run-1";
const NOW: UnixMs = UnixMs(1_000_000);

/// A stack being driven: its head, the documents that it stored, and a count of events.
#[derive(Clone)]
struct Stack {
    head: StackHead,
    facts: Facts,
    events: u32,
    now: UnixMs,
}

impl Stack {
    fn new() -> Self {
        let head = StackHead::new(&"s".into());
        let mut stack = Stack { head, facts: Facts::default(), events: 0, now: NOW };
        let def = Box::new(StackDef { autodeploy: false, ..fixture("s") });
        stack.take(StackEvent::Define { def, commit: "c".into(), revision: 1 });
        stack
    }

    fn take(&mut self, event: StackEvent) -> Answer {
        self.events += 1;
        let id = format!("event-{}", self.events).into();
        let envelope = StackEnvelope { id, stack: "s".into(), at: self.now, hops: 0, event };
        let Decision { head, answer, .. } =
            decide(self.head.clone(), &envelope, &self.facts, self.now);
        self.head = head;
        for entry in std::mem::take(&mut self.head.outbox) {
            if let Effect::PutRun { run } = entry.effect {
                self.facts.runs.insert(run.id().clone(), *run);
            }
        }
        answer
    }

    fn queue(&mut self, id: &str, seq: u64) {
        let run = NewRun {
            id: id.into(),
            branch: "main".to_owned(),
            repository: "infra".into(),
            direct: true,
            ..NewRun::blank(Commit { sha: id.into(), seq, ..Commit::default() })
        };
        self.take(StackEvent::Queue { run: Box::new(run) });
    }

    fn ask(&mut self, actor: &str, command: Command) -> Answer {
        self.take(StackEvent::Command { actor: actor.to_owned(), command })
    }

    fn run(&self) -> Run {
        let id = RunId::from(RUN);
        self.head.run(&id).or_else(|| self.facts.runs.get(&id)).expect("it was queued").clone()
    }

    fn began(&mut self, step: Step) {
        let job = self.run().job().expect("a job");
        let news = News::Began(step);
        let report = Report { job, stack: "s".into(), worker: "w".into(), at: NOW, news };
        self.take(StackEvent::Report { report });
    }

    fn ended(&mut self, verdict: Verdict) {
        let job = self.run().job().expect("a job");
        self.facts.results.insert(job.clone(), result(&job, verdict));
        let report =
            Report { job, stack: "s".into(), worker: "w".into(), at: NOW, news: News::Ended };
        self.take(StackEvent::Report { report });
    }

    /// A run in this state, by the road that leads there.
    fn at(state: &str) -> Self {
        let mut stack = Stack::new();
        if state == "QUEUED" {
            stack.queue("run-0", 1);
        }
        stack.queue(RUN, 2);
        let failed = || Verdict::Failed { step: Step::Planning, reason: "broken".to_owned() };
        let (run, note) = (RunId::from(RUN), None);
        let roads: &[&str] = match state {
            "QUEUED" | "READY" => &[],
            "CANCELING" => &["cancel"],
            "CANCELED" => &["cancel", "withdrawn"],
            "PLANNING" => &["began"],
            "STOPPED" => &["began", "stop", "interrupted"],
            "FAILED" => &["began", "failed"],
            "UNCONFIRMED" => &["began", "ok"],
            "DISCARDED" => &["began", "ok", "discard"],
            "CONFIRMED" => &["began", "ok", "confirm"],
            "APPLYING" => &["began", "ok", "confirm", "applying"],
            "FINISHED" => &["began", "ok", "confirm", "applying", "ok"],
            other => panic!("no road to {other}"),
        };
        for road in roads {
            let run = run.clone();
            match *road {
                "began" => stack.began(Step::Planning),
                "applying" => stack.began(Step::Applying),
                "ok" => stack.ended(Verdict::Ok),
                "failed" => stack.ended(failed()),
                "interrupted" => stack.ended(Verdict::Interrupted),
                "withdrawn" => {
                    let job = stack.run().job().expect("a job");
                    stack.take(StackEvent::Withdrawal { job, taken_by: None });
                }
                "cancel" => drop(stack.ask("ann", Command::Cancel { run, note: note.clone() })),
                "stop" => drop(stack.ask("ann", Command::Stop { run, note: note.clone() })),
                "discard" => drop(stack.ask("ann", Command::Discard { run, note: note.clone() })),
                _ => drop(stack.confirm("ann")),
            }
        }
        assert_eq!(stack.run().state.name().as_str(), state);
        stack
    }

    fn confirm(&mut self, actor: &str) -> Answer {
        let run = self.run();
        let digest = run.state.planned().map(|p| p.plan.digest.clone()).unwrap_or_default();
        let version = run.version;
        self.ask(actor, Command::Confirm { run: RUN.into(), digest, version })
    }
}

fn result(job: &JobId, verdict: Verdict) -> JobResult {
    let plan = PlanRef { key: "k".to_owned(), digest: Digest::of(b"plan") };
    JobResult {
        delta: Some(Delta { add: 1, ..Delta::default() }),
        changes: true,
        plan: (job.phase == Phase::Plan).then_some(plan),
        ..JobResult::blank(job, &"s".into(), verdict, NOW)
    }
}

/// What was reported in time, and what the result tells of when steps began (seconds from the start,
/// told in the tenth): the history is the same, and nothing lies in the future or out of order.
#[test]
fn a_step_that_nobody_reported_stands_in_the_history() {
    use StateName::{Initializing, Planning, Preparing, Queued, Ready, Unconfirmed};
    let whole = vec![Queued, Ready, Initializing, Planning, Unconfirmed];
    for (reported, began, states, began_s) in [
        (vec![], vec![(Step::Initializing, 1), (Step::Planning, 2)], whole.clone(), vec![1, 2]),
        (vec![Step::Initializing], vec![(Step::Planning, 2)], whole.clone(), vec![0, 2]),
        (
            vec![Step::Initializing, Step::Planning],
            vec![(Step::Initializing, 1), (Step::Planning, 2)],
            whole.clone(),
            vec![0, 0],
        ),
        // What was passed over in time is not put in afterwards.
        (
            vec![Step::Planning],
            vec![(Step::Initializing, 1), (Step::Planning, 2)],
            vec![Queued, Ready, Planning, Unconfirmed],
            vec![0],
        ),
        // A clock that is ahead.
        (
            vec![],
            vec![(Step::Preparing, 3), (Step::Planning, 99)],
            vec![Queued, Ready, Preparing, Planning, Unconfirmed],
            vec![3, 10],
        ),
        (vec![], vec![], vec![Queued, Ready, Unconfirmed], vec![]),
    ] {
        let mut stack = Stack::new();
        stack.queue(RUN, 2);
        reported.iter().for_each(|step| stack.began(*step));
        let after = |s: u64| UnixMs(NOW.0 + s * 1_000);
        let job = stack.run().job().expect("a job");
        let begin = |(step, s): &(Step, u64)| Began { step: *step, at: after(*s) };
        let told = JobResult {
            worker: Some("w".into()),
            began: began.iter().map(begin).collect(),
            ..result(&job, Verdict::Ok)
        };
        stack.facts.results.insert(job.clone(), told);
        stack.now = after(10);
        let news = News::Ended;
        let report = Report { job, stack: "s".into(), worker: "w".into(), at: NOW, news };
        stack.take(StackEvent::Report { report });
        let history = stack.run().history;
        let case = format!("{reported:?} {began:?}");
        assert_eq!(history.iter().map(|line| line.state).collect::<Vec<_>>(), states, "{case}");
        let ats: Vec<u64> = history.iter().map(|line| (line.at.0 - NOW.0) / 1_000).collect();
        assert_eq!(ats[2..ats.len() - 1], began_s, "{case}");
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

#[test]
fn every_command_meets_every_state() {
    #[rustfmt::skip]
    let table = [
        // state        cancel                  discard                 stop                     confirm                  retry
        ("QUEUED",      "done CANCELED",        "done DISCARDED",       "refused QUEUED",        "refused QUEUED",        "refused QUEUED"),
        ("READY",       "done CANCELING",       "done CANCELING",       "refused READY",         "refused READY",         "refused READY"),
        ("CANCELING",   "refused CANCELING",    "refused CANCELING",    "refused CANCELING",     "refused CANCELING",     "refused CANCELING"),
        ("PLANNING",    "refused PLANNING",     "refused PLANNING",     "done PLANNING",         "refused PLANNING",      "refused PLANNING"),
        ("UNCONFIRMED", "refused UNCONFIRMED",  "done DISCARDED",       "refused UNCONFIRMED",   "done CONFIRMED",        "refused UNCONFIRMED"),
        ("CONFIRMED",   "refused CONFIRMED",    "refused CONFIRMED",    "refused CONFIRMED",     "refused CONFIRMED",     "refused CONFIRMED"),
        ("APPLYING",    "refused APPLYING",     "refused APPLYING",     "refused APPLYING",      "refused APPLYING",      "refused APPLYING"),
        ("FINISHED",    "refused FINISHED",     "refused FINISHED",     "refused FINISHED",      "refused FINISHED",      "refused FINISHED"),
        ("FAILED",      "refused FAILED",       "refused FAILED",       "refused FAILED",        "refused FAILED",        "done FAILED"),
        ("CANCELED",    "refused CANCELED",     "refused CANCELED",     "refused CANCELED",      "refused CANCELED",      "done CANCELED"),
        ("DISCARDED",   "refused DISCARDED",    "refused DISCARDED",    "refused DISCARDED",     "refused DISCARDED",     "done DISCARDED"),
        ("STOPPED",     "refused STOPPED",      "refused STOPPED",      "refused STOPPED",       "refused STOPPED",       "done STOPPED"),
    ];
    for (state, cancel, discard, stop, confirm, retry) in table {
        let (run, note) = (RunId::from(RUN), None);
        let commands = [
            (cancel, Some(Command::Cancel { run: run.clone(), note: note.clone() })),
            (discard, Some(Command::Discard { run: run.clone(), note: note.clone() })),
            (stop, Some(Command::Stop { run: run.clone(), note })),
            (confirm, None),
            (retry, Some(Command::Retry { run })),
        ];
        for (expect, command) in commands {
            let mut stack = Stack::at(state);
            let what = command.as_ref().map_or("confirm", Command::label);
            let answer = match command {
                Some(command) => stack.ask("ann", command),
                None => stack.confirm("ann"),
            };
            let got = format!("{} {}", word(&answer), stack.run().state.name());
            assert_eq!(got, expect, "{what} at {state}");
        }
    }
}

#[test]
fn a_retry_takes_the_place_of_the_run_once() {
    for state in ["FAILED", "CANCELED", "DISCARDED", "STOPPED"] {
        let mut stack = Stack::at(state);
        let retry = || Command::Retry { run: RUN.into() };
        let Answer::Done { run: Some(newer) } = stack.ask("ann", retry()) else {
            panic!("{state}")
        };
        let run = stack.head.run(&newer).expect("it is open").clone();
        assert_eq!((run.origin().as_str(), run.new.try_no), (RUN, 2), "{state}");
        assert_eq!(stack.run().superseded_by, Some(newer), "{state}");
        assert_eq!(word(&stack.ask("ann", retry())), "refused", "{state}: again");
    }
}

#[test]
fn a_confirmation_is_for_what_was_looked_at() {
    let run = Stack::at("UNCONFIRMED").run();
    let (digest, version) = (Digest::of(b"plan"), run.version);
    let moved = "this changed since you looked: look at the plan again";
    #[rustfmt::skip]
    let table = [
        ("as it is",        digest.clone(),        version,     None),
        ("another plan",    Digest::of(b"other"),  version,     Some(moved)),
        ("an older run",    digest.clone(),        version - 1, Some(moved)),
        ("no plan at all",  Digest::default(),     version,     Some(moved)),
    ];
    for (name, digest, version, refused) in table {
        let mut stack = Stack::at("UNCONFIRMED");
        let command = Command::Confirm { run: RUN.into(), digest, version };
        match (stack.ask("ann", command.clone()), refused) {
            (Answer::Done { .. }, None) => {
                let twice = stack.ask("bob", command);
                assert_eq!(word(&twice), "refused", "two people at once");
            }
            (Answer::Refused { why }, Some(expect)) => assert_eq!(why, expect, "{name}"),
            (answer, _) => panic!("{name}: {answer:?}"),
        }
    }
}

#[test]
fn a_second_confirmation_hears_who_was_first() {
    #[rustfmt::skip]
    let table = [
        ("QUEUED",    "the run is QUEUED: confirm is not possible"),
        ("CONFIRMED", "the run is CONFIRMED: already confirmed, by ann"),
        ("APPLYING",  "the run is APPLYING: already confirmed, by ann"),
        ("FINISHED",  "the run is FINISHED: already confirmed, by ann"),
        ("DISCARDED", "the run is DISCARDED: it has ended"),
        ("FAILED",    "the run is FAILED: it has ended"),
    ];
    for (state, expect) in table {
        match Stack::at(state).confirm("bob") {
            Answer::Refused { why } => assert_eq!(why, expect, "{state}"),
            answer => panic!("{state}: {answer:?}"),
        }
    }
    // A plan that is made anew asks anew: whoever confirmed the old one is no answer.
    let mut stack = Stack::at("UNCONFIRMED");
    let targets = vec!["terraform_data.x".to_owned()];
    assert_eq!(word(&stack.ask("ann", Command::Replan { run: RUN.into(), targets })), "done");
    stack.began(Step::Planning);
    stack.ended(Verdict::Ok);
    assert_eq!(
        (stack.run().state.name(), stack.run().confirmed_by()),
        (StateName::Unconfirmed, None)
    );
    assert_eq!(word(&stack.confirm("cem")), "done");
    assert_eq!(stack.run().confirmed_by(), Some("cem"));
}

#[test]
fn locks() {
    let lock = |until| Command::Lock { note: None, until };
    let later = Some(NOW.plus_ms(MINUTE_MS));
    #[rustfmt::skip]
    let table = [
        // name                        first          then   asks                              expect
        ("nobody's",                   None,          "ann", lock(None),                       "done"),
        ("one's own again",            Some("ann"),   "ann", lock(later),                      "done"),
        ("somebody else's",            Some("ann"),   "bob", lock(None),                       "refused"),
        ("until a moment past",        None,          "ann", lock(Some(UnixMs(0))),            "refused"),
        ("unlock what is not locked",  None,          "ann", Command::Unlock { force: false }, "refused"),
        ("unlock one's own",           Some("ann"),   "ann", Command::Unlock { force: false }, "done"),
        ("unlock another's",           Some("ann"),   "bob", Command::Unlock { force: false }, "refused"),
        ("unlock another's by force",  Some("ann"),   "bob", Command::Unlock { force: true },  "done"),
    ];
    for (name, first, then, command, expect) in table {
        let mut stack = Stack::new();
        if let Some(first) = first {
            stack.ask(first, lock(None));
        }
        let unlocks = matches!(command, Command::Unlock { .. });
        assert_eq!(word(&stack.ask(then, command)), expect, "{name}");
        let locked = stack.head.lock.is_some();
        let kept = first.is_some() && expect == "refused";
        assert_eq!(locked, kept || (expect == "done" && !unlocks), "{name}");
    }
}

#[test]
fn a_lock_refuses_others_and_ends_at_its_moment() {
    let mut stack = Stack::at("UNCONFIRMED");
    stack.ask("ann", Command::Lock { note: None, until: Some(NOW.plus_ms(MINUTE_MS)) });
    assert_eq!(word(&stack.confirm("bob")), "refused");
    stack.now = NOW.plus_ms(MINUTE_MS - 1);
    stack.take(StackEvent::Due);
    assert!(stack.head.lock.is_some());
    stack.now = NOW.plus_ms(MINUTE_MS);
    stack.take(StackEvent::Due);
    assert_eq!(stack.head.lock, None);
    assert_eq!(word(&stack.confirm("bob")), "done");
}

#[test]
fn every_command_leaves_one_audit_entry_and_is_decided_once() {
    let mut stack = Stack::at("READY");
    let command = Command::Lock { note: None, until: None };
    let event = StackEvent::Command { actor: "ann".to_owned(), command };
    let envelope = StackEnvelope { id: "e".into(), stack: "s".into(), at: NOW, hops: 0, event };
    let first = decide(stack.head.clone(), &envelope, &stack.facts, NOW);
    let audits = |decision: &Decision| {
        let owed = decision.head.outbox.iter();
        owed.filter(|entry| matches!(entry.effect, Effect::Audit { .. })).count()
    };
    assert_eq!((audits(&first), first.changed), (1, true));
    let again = decide(first.head.clone(), &envelope, &stack.facts, NOW);
    assert_eq!((again.answer, again.changed), (first.answer.clone(), false), "by the ring");
    let mut forgot = first.head.clone();
    forgot.recent.clear();
    assert!(!decide(forgot.clone(), &envelope, &stack.facts, NOW).changed, "by what is owed");
    forgot.outbox.clear();
    stack.facts.audited = true;
    assert!(!decide(forgot, &envelope, &stack.facts, NOW).changed, "by what is stored");
}

/// Rule D5: bound when it leaves the queue, never older than the stack's, unless a person chose it.
#[test]
fn a_commit_is_bound_when_its_run_leaves_the_queue() {
    #[rustfmt::skip]
    let table = [
        // name                        own seq, pinned  tracked  expect
        ("newer than the stack's",     Some(5), false,  Some(3), 5),
        ("older than the stack's",     Some(3), false,  Some(5), 5),
        ("older, and a person's will", Some(3), true,   Some(5), 3),
        ("of another repository",      None,    false,  Some(5), 5),
        ("the first",                  Some(1), false,  None,    1),
    ];
    for (name, own, pinned, tracked, expect) in table {
        let commit = |seq: u64| Commit { sha: seq.to_string().into(), seq, ..Commit::default() };
        let mut stack = Stack::new();
        stack.head.tracked = tracked.map(commit);
        let run = NewRun {
            id: RUN.into(),
            repository: "infra".into(),
            branch: "main".to_owned(),
            pinned,
            ..NewRun::blank(own.map(commit).unwrap_or_default())
        };
        stack.take(StackEvent::Queue { run: Box::new(run) });
        assert_eq!(stack.run().new.commit.seq, expect, "{name}");
    }
}
