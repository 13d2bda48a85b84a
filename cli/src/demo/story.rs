//! The main job in seven steps. Each says what it expects before it looks, and then what it saw.
use super::report::StepLine;
use super::sample;
use super::stage::{Halt, Stage, find, states};
use crate::exit::Failure;
use api::v1::{Asked, ChangesView, ConfirmRequest, LogPage, RunDetail, RunView, WorkerList};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::BufRead as _;
use std::sync::mpsc;
use std::time::Instant;
use windlass_core::run::{RunType, StateName};

/// What was seen, and whether it is what was expected.
type Seen = Result<(String, bool), Halt>;

struct Step {
    name: &'static str,
    title: &'static str,
    what: &'static str,
    why: &'static str,
    expected: &'static str,
    play: fn(&mut Stage, &str) -> Seen,
    /// Makes the step's commit and names it. The first is made before the server starts.
    commit: fn(&Stage) -> Result<String, Failure>,
}

const STEPS: [Step; 7] = [
    Step {
        name: "first_commit",
        title: "The first commit",
        what: "windlass.yaml defines four stacks; each is planned, then applied.",
        why: "A push touched their folders. Each waits for the stacks whose outputs it takes in.",
        expected: "all four FINISHED, each after what it depends on",
        commit: |stage| {
            stage.sample.commit("Define a network, a cluster and two apps", sample::FIRST)
        },
        play: first_commit,
    },
    Step {
        name: "confirm",
        title: "A change that waits for a person",
        what: "app-b gets more replicas, and the same commit turns its autodeploy off.",
        why: "Definitions come first: by the time app-b is planned, a person has to confirm it.",
        expected: "app-b UNCONFIRMED, then FINISHED once confirmed",
        commit: |stage| {
            stage.sample.commit("Scale app-b, and look before it deploys", sample::CAREFUL)
        },
        play: confirm,
    },
    Step {
        name: "unchanged_outputs",
        title: "A change that others need not follow",
        what: "network gets a third subnet.",
        why: "cluster takes in network's vpc_id alone, and that stays as it is.",
        expected: "network FINISHED, cluster, app-a and app-b SKIPPED",
        commit: |stage| stage.sample.commit("Add a third subnet", sample::SUBNET),
        play: unchanged_outputs,
    },
    Step {
        name: "ignored",
        title: "A change that concerns no stack",
        what: "The README grows by a sentence.",
        why: "No stack's folder or glob covers README.md.",
        expected: "no run, and the reason is kept",
        commit: |stage| stage.sample.commit("Say whom to ask", sample::WORDS),
        play: ignored,
    },
    Step {
        name: "preview",
        title: "A push to another branch",
        what: "On the branch more-replicas, app-a asks for nine.",
        why: "app-a tracks main; another branch is a proposal, so it is planned and never applied.",
        expected: "app-a previewed by a PROPOSED run, nothing applied",
        commit: |stage| {
            stage.sample.commit_on("more-replicas", "Try nine replicas", sample::PREVIEW)
        },
        play: preview,
    },
    Step {
        name: "broken",
        title: "Broken code",
        what: "A brace is missing in cluster's code.",
        why: "What depends on a failed stack does not run: it would build on what is not there.",
        expected: "cluster FAILED with file and line, app-a and app-b SKIPPED",
        commit: |stage| stage.sample.commit("Grow the cluster", sample::BROKEN),
        play: broken,
    },
    Step {
        name: "killed",
        title: "A worker dies in mid-apply",
        what: "The brace is back, cluster gets nodes; while they are made, its worker is killed (-9).",
        why: "An apply is never repeated by itself, and a stack is never free while its tool runs.",
        expected: "cluster FAILED by the worker's death, freed by nobody's hand, its retry FINISHED",
        commit: |stage| stage.sample.commit("Mend the cluster and give it nodes", sample::NODES),
        play: killed,
    },
];

/// Plays the story. After a step that went wrong the rest is not played.
pub(crate) fn play(stage: &mut Stage, first: String) -> Result<Vec<StepLine>, Halt> {
    let mut told: Vec<StepLine> = Vec::new();
    let mut first = Some(first);
    for (number, step) in STEPS.iter().enumerate() {
        let line = |seen: String, ok: bool| StepLine {
            name: step.name.to_owned(),
            expected: step.expected.to_owned(),
            seen,
            ok,
        };
        if told.iter().any(|step| !step.ok) {
            told.push(line("not reached".to_owned(), false));
            continue;
        }
        stage.teller.step(number + 1, step.title, step.what, step.why);
        let sha = match first.take() {
            Some(first) => first,
            None => (step.commit)(stage)?,
        };
        let (seen, ok) = match (step.play)(stage, &sha) {
            Ok(seen) => seen,
            Err(Halt::Late(what)) => (what, false),
            Err(Halt::Failed(failure)) => (failure.sentence, false),
            Err(Halt::Interrupted) => return Err(Halt::Interrupted),
        };
        stage.teller.verdict(&seen, ok);
        told.push(line(seen, ok));
    }
    Ok(told)
}

/// The commit that is there before the server is.
pub(crate) fn first_commit_of(sample: &sample::Sample) -> Result<String, Failure> {
    sample.commit("Define a network, a cluster and two apps", sample::FIRST)
}

fn first_commit(stage: &mut Stage, sha: &str) -> Seen {
    let rollout = stage.settled(sha)?;
    let mut all: Vec<RunDetail> = Vec::new();
    for run in rollout.runs.iter().filter_map(|member| member.run.as_ref()) {
        all.push(stage.run(&run.id)?);
    }
    let applied = |run: &RunDetail| {
        run.run.state == StateName::Finished && run.run.delta.is_some_and(|delta| delta.add > 0)
    };
    let ok = all.len() == sample::EDGES.len() && all.iter().all(applied) && in_order(&all);
    let seen = match ok {
        true => "all four are defined, planned and applied, each after what it depends on".into(),
        false => states(&rollout),
    };
    Ok((seen, ok))
}

/// Every child left its queue after each of its parents had finished.
fn in_order(runs: &[RunDetail]) -> bool {
    let at = |stack: &str, state: StateName| {
        let run = runs.iter().find(|run| run.run.stack == stack)?;
        run.history.iter().find(|line| line.state == state).map(|line| line.at.clone())
    };
    sample::EDGES.iter().all(|(child, parents)| {
        parents.iter().all(|parent| {
            let (ready, done) = (at(child, StateName::Ready), at(parent, StateName::Finished));
            matches!((ready, done), (Some(ready), Some(done)) if done <= ready)
        })
    })
}

fn confirm(stage: &mut Stage, sha: &str) -> Seen {
    let waiting = stage.run_of(sha, "app-b", |run| run.waits_for_person || run.terminal)?;
    if !waiting.waits_for_person {
        return Ok((format!("app-b {}", waiting.state), false));
    }
    for line in diff(stage, &waiting.id)? {
        stage.teller.note(&line);
    }
    if stage.by_hand {
        let page = stage.client.url(&format!("/runs/{}", waiting.id));
        stage.teller.note(&format!("Enter to confirm, or use the page {page}"));
        let enter = enter();
        stage.until_a_person("a person's word", |stage| {
            stage.watch(sha)?;
            let moved = !stage.run(&waiting.id)?.run.waits_for_person;
            Ok((moved || enter.try_recv().is_ok()).then_some(()))
        })?;
    }
    // On the page somebody may have been quicker.
    if stage.run(&waiting.id)?.run.waits_for_person {
        say_yes(stage, &waiting.id)?;
    }
    let rollout = stage.settled(sha)?;
    let detail = stage.run(&waiting.id)?;
    let by = detail.history.iter().find(|line| line.state == StateName::Confirmed);
    let by = by.and_then(|line| line.by.clone());
    let ok = detail.run.state == StateName::Finished && by.is_some();
    let seen = match (&by, ok) {
        (Some(by), true) => format!("app-b waited, {by} confirmed the plan, and it was applied"),
        _ => states(&rollout),
    };
    Ok((seen, ok))
}

fn say_yes(stage: &mut Stage, run: &str) -> Result<(), Failure> {
    let detail = stage.run(run)?;
    let plan_digest = detail.plan_digest.unwrap_or_default();
    let request = ConfirmRequest { plan_digest, version: detail.run.version };
    stage.client.post::<Asked>(&format!("/runs/{run}/confirm"), &request).map(drop)
}

/// One line per attribute that a plan changes.
fn diff(stage: &Stage, run: &str) -> Result<Vec<String>, Failure> {
    let changes: ChangesView = stage.client.get(&format!("/runs/{run}/changes"))?;
    let mut lines = Vec::new();
    for resource in &changes.resources {
        let attributes = resource.attributes.iter().filter(|one| !one.known_after_apply);
        for one in attributes {
            lines.push(format!(
                "~ {}  {}: {} → {}",
                resource.address,
                one.path,
                value(one.before.as_ref()),
                value(one.after.as_ref())
            ));
        }
    }
    Ok(lines)
}

fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}

/// A line from the keyboard, read aside so that the page may answer first.
fn enter() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            let _ = sender.send(());
        }
    });
    receiver
}

fn unchanged_outputs(stage: &mut Stage, sha: &str) -> Seen {
    let rollout = stage.settled(sha)?;
    let network = find(&rollout, "network");
    let applied = network.is_some_and(|run| {
        run.state == StateName::Finished && run.delta.is_some_and(|d| d.add > 0)
    });
    let skipped = |stack: &str| {
        find(&rollout, stack).filter(|run| run.state == StateName::Skipped).and_then(|run| run.note)
    };
    let why: Vec<Option<String>> = ["cluster", "app-a", "app-b"].map(skipped).to_vec();
    let ok = applied && why.iter().all(Option::is_some);
    let seen = match (&why[0], ok) {
        (Some(why), true) => {
            format!("network is applied; cluster is skipped ({why}), so are both apps")
        }
        _ => states(&rollout),
    };
    Ok((seen, ok))
}

fn ignored(stage: &mut Stage, sha: &str) -> Seen {
    let rollout = stage.settled(sha)?;
    Ok(match rollout.nothing.as_ref().filter(|_| rollout.runs.is_empty()) {
        Some(why) => (format!("nothing ran: {why}"), true),
        None => (states(&rollout), false),
    })
}

fn preview(stage: &mut Stage, sha: &str) -> Seen {
    let rollout = stage.settled(sha)?;
    let runs: Vec<&RunView> = rollout.runs.iter().filter_map(|m| m.run.as_ref()).collect();
    let proposed =
        |run: &&RunView| run.kind == RunType::Proposed && run.state == StateName::Finished;
    let ok = runs.len() == 1 && runs.iter().all(proposed) && runs[0].stack == "app-a";
    let delta = runs.first().and_then(|run| run.delta).map(|delta| delta.to_string());
    let seen = match (delta, ok) {
        (Some(delta), true) => format!("app-a was planned ({delta}) and left as it is"),
        _ => states(&rollout),
    };
    Ok((seen, ok))
}

fn broken(stage: &mut Stage, sha: &str) -> Seen {
    let rollout = stage.settled(sha)?;
    let note = find(&rollout, "cluster").filter(|run| run.state == StateName::Failed);
    let said = note.and_then(|run| run.note).unwrap_or_default();
    // The last of its errors is the one with a place.
    let last = said.rfind("Error:").unwrap_or(0);
    for line in said[last..].lines().filter(|line| !line.trim().is_empty()).take(5) {
        stage.teller.note(&format!("│ {line}"));
    }
    let placed = said.contains("main.tf") && said.contains("line ");
    let skipped = ["app-a", "app-b"]
        .iter()
        .all(|stack| find(&rollout, stack).is_some_and(|run| run.state == StateName::Skipped));
    let seen = match placed && skipped {
        true => {
            "cluster failed with the tool's own words, file and line; both apps are skipped".into()
        }
        false => states(&rollout),
    };
    Ok((seen, placed && skipped))
}

fn killed(stage: &mut Stage, sha: &str) -> Seen {
    let run =
        stage.run_of(sha, "cluster", |run| run.state == StateName::Applying || run.terminal)?;
    if run.terminal {
        return Ok((format!("cluster {} before its worker could be killed", run.state), false));
    }
    stage.until("the apply's first words", |stage| {
        stage.watch(sha)?;
        let log: LogPage = stage.client.get(&format!("/runs/{}/logs", run.id))?;
        Ok(log.parts.iter().any(|part| part.text.contains("local-exec")).then_some(()))
    })?;
    let victim = kill_worker_of(stage, &run.id)?;
    let began = Instant::now();
    stage.teller.note(&format!("kill -9: worker {victim} is dead, the tool goes on without it"));
    let mut silent = false;
    stage.until("the end of the run", |stage| {
        stage.watch(sha)?;
        let detail = stage.run(&run.id)?;
        if detail.silent_since.is_some() && !silent {
            silent = true;
            stage.teller.note(
                "worker silent: cluster stays taken, because the tool may still write its state",
            );
        }
        Ok(detail.run.terminal.then_some(()))
    })?;
    let failed = stage.run(&run.id)?;
    let cause = failed.run.note.clone().unwrap_or_default();
    let waited = began.elapsed().as_secs_f64();
    stage.teller.note(&format!("{waited:.1} s later the tool's last process is gone: {cause}"));
    let told = failed.run.state == StateName::Failed && cause.contains("killed by signal 9");
    stage.settled(sha)?;

    stage.teller.note("nobody unlocks anything; a retry:");
    let asked: Asked =
        stage.client.post(&format!("/runs/{}/retry", run.id), &serde_json::json!({}))?;
    let retry = asked.run.unwrap_or_default();
    let ended = stage.until("the end of the retry", |stage| {
        stage.watch(sha)?;
        Ok(Some(stage.run(&retry)?).filter(|run| run.run.terminal))
    })?;
    stage.settled(sha)?;
    let ok = told && ended.run.state == StateName::Finished;
    let found = match ended.run.delta {
        Some(delta) if delta.is_zero() => "found that the tool had done its work to the end",
        _ => "did the rest",
    };
    let seen = match ok {
        true => format!("cluster FAILED and was free without an unlock; the retry {found}"),
        false => format!("cluster {} ({cause}), its retry {}", failed.run.state, ended.run.state),
    };
    Ok((seen, ok))
}

/// Kills the process that has this run's job, as an impatient system would.
fn kill_worker_of(stage: &Stage, run: &str) -> Result<String, Failure> {
    let worker = stage.run(run)?.worker;
    let gone = || Failure::failed("no worker has the run");
    let worker = worker.ok_or_else(gone)?;
    let list: WorkerList = stage.client.get("/workers")?;
    let known = list.workers.iter().find(|known| known.id == worker);
    let pid = known.and_then(|known| i32::try_from(known.pid?).ok());
    // 0 and below would mean many processes.
    let pid = pid.filter(|pid| *pid > 1).ok_or_else(gone)?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)
        .map_err(|e| Failure::failed("the worker can't be killed").because(e))?;
    Ok(worker)
}
