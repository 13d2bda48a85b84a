//! The machine's own end: what is given up at once, what may still end, what is said of it.
#![expect(clippy::unwrap_used, reason = "what tests share is a test too")]
#[allow(dead_code, reason = "what other tests need")]
mod common;
use common::{MAIN, World, reason, until};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use windlass_core::instance::{DrainedBy, Instance};
use windlass_core::job::{JobSpec, Phase, Step, Verdict};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::clock::{Clock as _, SystemClock};
use windlass_ports::{Change, Notice, Queues as _, cas};
use windlass_worker::Shutdown;

/// A job whose work begins with this hook.
fn hooked(world: &World, phase: Phase, hook: &str) -> JobSpec {
    let commit = world.commit(&[("main.tf", MAIN)]);
    let mut spec = world.spec(phase, &commit);
    spec.hooks.before_plan = vec![hook.to_owned()];
    spec.hooks.before_perform = vec![hook.to_owned()];
    spec.hooks.after_run = vec!["echo final $TF_VAR_spacelift_final_run_state".into()];
    spec.command = Some("echo done".into());
    spec
}

fn step(spec: &JobSpec) -> Step {
    if spec.id.phase == Phase::Task { Step::Performing } else { Step::Planning }
}

async fn begins(world: &World, spec: &JobSpec) {
    world.submit(spec).await;
    until("it runs", || world.log(spec, step(spec)).contains("begun")).await;
}

/// The machine is to be taken in so many seconds.
fn taken_in(world: &World, seconds: u64) {
    let at = SystemClock.now().plus_ms(seconds * 1_000);
    world.notices.give(Notice::Interruption { at });
}

async fn drained_by(world: &World) -> Option<DrainedBy> {
    world.instance().await.drain.map(|drain| drain.by)
}

/// Waits until a notice's drain is in the record.
async fn drains(world: &World) {
    let start = Instant::now();
    while drained_by(world).await != Some(DrainedBy::Notice {}) {
        assert!(start.elapsed() < Duration::from_secs(30), "no drain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It is handed back, and nobody here has it.
async fn is_left_to_others(world: &World, spec: &JobSpec) {
    world.submit(spec).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.docs.dump().contains_key(&keys::job_claim(&spec.id)), "taken all the same");
    let queue = keys::first_queue(&"default".into());
    assert_eq!(world.queues.depth(&queue).await.unwrap(), 1, "the pointer is handed back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_given_up_at_once_and_nothing_more_is_taken() {
    let world = World::new();
    let worker = world.start();
    let plan = hooked(&world, Phase::Plan, "echo begun; sleep 600");
    begins(&world, &plan).await;
    taken_in(&world, 120);
    let told = Instant::now();
    let cause = "a Spot interruption took worker w1 during the plan".to_owned();
    assert_eq!(world.result(&plan).await.verdict, Verdict::Lost { cause });
    assert!(told.elapsed() < Duration::from_secs(40), "not when an apply would be");
    assert!(!world.log(&plan, Step::Planning).contains("final"), "it is made again");
    world.quiet().await;
    drains(&world).await;
    is_left_to_others(&world, &hooked(&world, Phase::Plan, "true")).await;
    worker.end(Shutdown::Drain).await;
    // Its service manager starts another, which takes nothing either.
    let again = world.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(drained_by(&world).await, Some(DrainedBy::Notice {}));
    let queue = keys::first_queue(&"default".into());
    assert_eq!(world.queues.depth(&queue).await.unwrap(), 1);
    again.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_end_before_the_machine_does_ends() {
    let world = World::new();
    let worker = world.start();
    let go = world.dir.join("go");
    let hook = format!("echo begun; until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let task = hooked(&world, Phase::Task, &hook);
    begins(&world, &task).await;
    taken_in(&world, 120);
    drains(&world).await;
    std::fs::write(go, "").unwrap();
    assert_eq!(world.result(&task).await.verdict, Verdict::Ok);
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_is_interrupted_and_says_why() {
    let stubborn = "trap '' INT; echo begun; while :; do sleep 0.1; done";
    #[rustfmt::skip]
    let table = [
        ("echo begun; sleep 600", 60, "a Spot interruption of the worker's machine cut the before_perform hook `echo begun; sleep 600` short"),
        (stubborn,                 1, "short; it did not obey the interrupt and was killed"),
    ];
    for (hook, seconds, expect) in table {
        let world = World::new();
        let worker = world.start();
        let task = hooked(&world, Phase::Task, hook);
        begins(&world, &task).await;
        taken_in(&world, seconds);
        let result = world.result(&task).await;
        assert!(reason(&result).contains(expect), "{expect}: {}", reason(&result));
        assert!(!world.log(&task, Step::Performing).contains("done"));
        world.quiet().await;
        drains(&world).await;
        worker.end(Shutdown::Drain).await;
    }
}

/// The result must not wait for it until nobody can tell it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_after_the_run_does_not_outlast_the_machine() {
    let world = World::new();
    let worker = world.start();
    let mut task = hooked(&world, Phase::Task, "true");
    task.hooks.after_run = vec!["echo begun; sleep 600".into()];
    begins(&world, &task).await;
    taken_in(&world, 60);
    let result = world.result(&task).await;
    assert_eq!(result.verdict, Verdict::Ok);
    let expect = "a Spot interruption of the worker's machine cut the after_run hook `echo begun; sleep 600` short";
    assert_eq!(result.warnings, [expect]);
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_on_a_machine_that_is_to_go() {
    let world = World::new();
    let worker = world.start();
    let (here, go) = (world.dir.join("here"), world.dir.join("go"));
    let mut task = hooked(&world, Phase::Task, "echo begun");
    task.hooks.before_init = vec![format!(
        "touch '{}'; until [ -e '{}' ]; do sleep 0.05; done",
        here.display(),
        go.display()
    )];
    world.submit(&task).await;
    until("it makes itself ready", || here.exists()).await;
    taken_in(&world, 120);
    drains(&world).await;
    std::fs::write(go, "").unwrap();
    let result = world.result(&task).await;
    let expect =
        "a Spot interruption takes worker w1, so the task was not begun; nothing was changed";
    assert_eq!(reason(&result), expect);
    assert!(!world.log(&task, Step::Performing).contains("begun"));
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advice_to_leave_interrupts_nobody() {
    let world = World::new();
    let worker = world.start();
    let go = world.dir.join("go");
    let hook = format!("echo begun; until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let plan = hooked(&world, Phase::Plan, &hook);
    begins(&world, &plan).await;
    let ann = || DrainedBy::Operator("ann".into());
    let swap = |id: &'static str, drain: bool| {
        let key = keys::instance(&"default".into(), &"w1".into());
        let docs = world.docs.clone();
        async move {
            let swapped = cas::update(&*docs, &key, id, |record: Option<&Instance>| {
                let record = record.unwrap();
                let next = match drain {
                    true => record.drain(ann(), UnixMs(1)),
                    false => record.undrain(&ann()),
                };
                Ok(Change::Write(next.unwrap(), ()))
            });
            swapped.await.unwrap();
        }
    };
    // A person's drain does as well, as long as it stands.
    swap("d", true).await;
    world.notices.give(Notice::Rebalance);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(drained_by(&world).await, Some(ann()));
    std::fs::write(go, "").unwrap();
    assert_eq!(world.result(&plan).await.verdict, Verdict::Ok);
    world.quiet().await;
    swap("u", false).await;
    is_left_to_others(&world, &hooked(&world, Phase::Plan, "true")).await;
    drains(&world).await;
    worker.end(Shutdown::Drain).await;
}

/// A backend that gives the state that it was made with, and takes no other.
fn full_backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            let status = match head[..read].starts_with(b"GET") {
                true => "404 Not Found",
                false => "403 Forbidden",
            };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/state")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_could_not_be_stored_is_kept() {
    let world = World::new();
    let worker = world.start();
    let backend = full_backend();
    let main =
        format!("terraform {{\n  backend \"http\" {{ address = \"{backend}\" }}\n}}\n{MAIN}");
    let commit = world.commit(&[("main.tf", &main)]);
    let plan = world.spec(Phase::Plan, &commit);
    let planned = world.run(&plan).await;
    assert_eq!(planned.verdict, Verdict::Ok, "{planned:?}");
    let apply = world.apply_of(&plan, &planned);
    let applied = world.run(&apply).await;
    let key = keys::errored_state(&"app".into(), &apply.id);
    let sentence = format!("the state that the tool could not store is kept at {key}");
    assert!(reason(&applied).contains(&sentence), "{}", reason(&applied));
    assert_eq!(applied.warnings, std::slice::from_ref(&sentence));
    assert!(world.log(&apply, Step::Applying).ends_with(&format!("[{sentence}.]\n")));
    let state: serde_json::Value = serde_json::from_slice(&world.blob(&key)).unwrap();
    assert_eq!(state["resources"][0]["name"], "a");
    let kept = world.blobs.dump().into_keys().filter(|key| key.contains("errored"));
    assert_eq!(kept.collect::<Vec<_>>(), [key]);
    // One of the repository's own is no tool's.
    let commit = world.commit(&[("main.tf", MAIN), ("errored.tfstate", "old")]);
    let mut task = world.spec(Phase::Task, &commit);
    task.command = Some("exit 1".into());
    let failed = world.run(&task).await;
    assert!(reason(&failed).starts_with("the command failed") && failed.warnings.is_empty());
    worker.end(Shutdown::Drain).await;
}
