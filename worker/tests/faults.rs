//! Bad input, interrupts, limits, lost stores: a clear answer each time, and nothing lost.
#![expect(clippy::unwrap_used, reason = "what tests share is a test too")]
mod common;
use common::{MAIN, World, reason, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use windlass_core::definition::FileMount;
use windlass_core::instance::{DrainedBy, Instance};
use windlass_core::job::{Claim, JobResult, JobSpec, News, Phase, Step, Verdict};
use windlass_core::keys;
use windlass_core::time::UnixMs;
use windlass_ports::fake::Faults;
use windlass_ports::{Change, Queues, cas};
use windlass_worker::Shutdown;
use windlass_worker::proc::group_gone;

fn hooked(world: &World, phase: Phase, hook: &str) -> JobSpec {
    let commit = world.commit(&[("main.tf", MAIN)]);
    let mut spec = world.spec(phase, &commit);
    spec.hooks.before_plan = vec![hook.to_owned()];
    spec.hooks.before_perform = vec![hook.to_owned()];
    spec.hooks.after_run = vec!["echo final $TF_VAR_spacelift_final_run_state".into()];
    spec
}

/// What somebody may see while it lasts is told while it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_lasts_is_reported() {
    let world = World::new();
    let go = world.dir.join("go");
    let hook = format!("until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let spec = hooked(&world, Phase::Plan, &hook);
    let worker = world.start();
    world.submit(&spec).await;
    let planning = News::Began(Step::Planning);
    until("the plan is reported", || world.reports(&spec).last() == Some(&planning)).await;
    std::fs::write(go, "").unwrap();
    assert_eq!(world.result(&spec).await.verdict, Verdict::Ok);
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_a_clear_answer() {
    let world = World::new();
    let files = [
        ("ok/main.tf", MAIN),
        ("broken/main.tf", "resource \"terraform_data\" \"a\" {\n  inptu = 1\n}\n"),
        ("unclosed/main.tf", "locals {\n  a = [1\n"),
        ("asks/main.tf", "variable \"who\" {}\noutput \"who\" { value = var.who }\n"),
        ("file", "x"),
        ("out", "-> ../.."),
    ];
    let commit = world.commit(&files);
    let worker = world.start();
    let spec = |change: &dyn Fn(&mut JobSpec)| {
        let mut spec = world.spec(Phase::Plan, &commit);
        spec.project_root = "ok".into();
        change(&mut spec);
        spec
    };
    let root = |path: &'static str| spec(&move |s| s.project_root = path.into());
    let mount = |path: &str, source: &str| {
        let one = FileMount { path: path.into(), source: source.into() };
        spec(&move |s| s.files = vec![one.clone()])
    };
    #[rustfmt::skip]
    let table = [
        (root("gone"),      Step::Preparing,    vec!["the project root \"gone\" does not exist at this commit"]),
        (root("../x"),      Step::Preparing,    vec!["\"../x\" must be a path inside the repository"]),
        (root("/etc"),      Step::Preparing,    vec!["\"/etc\" must be a path inside the repository"]),
        (root("out"),       Step::Preparing,    vec!["\"out\" leads out of the repository through a link"]),
        (root("file"),      Step::Preparing,    vec!["\"file\" is not a folder"]),
        (mount("../x", "file"), Step::Preparing, vec!["the place of a file mount \"../x\" must be"]),
        (mount("x", "none"),    Step::Preparing, vec!["the source of a file mount \"none\" does not exist"]),
        (root("broken"),    Step::Planning,     vec!["`terraform plan` failed with exit code 1:\nError: Unsupported argument", "on main.tf line 2", "inptu"]),
        (root("unclosed"),  Step::Initializing, vec!["`terraform init` failed with exit code 1:\nError: ", "main.tf line 2"]),
        (root("asks"),      Step::Planning,     vec!["Error: No value for required variable", "main.tf line 1"]),
        (spec(&|s| s.version = Some("< 1.0".into())), Step::Preparing, vec!["the stack wants version < 1.0, and Terraform v", "is what PATH has"]),
        (spec(&|s| s.version = Some("new".into())),   Step::Preparing, vec!["the version requirement \"new\" can't be read"]),
        (spec(&|s| s.commit = "0".repeat(40).into()), Step::Preparing, vec!["commit 00000000 of infra can't be checked out"]),
        (spec(&|s| s.hooks.before_init = vec!["echo said; exit 7".into()]), Step::Initializing, vec!["the before_init hook `echo said; exit 7` failed with exit code 7:\nsaid"]),
        (spec(&|s| s.hooks.before_plan = vec!["echo \"open".into()]),       Step::Planning,     vec!["the before_plan hook `echo \"open` failed with exit code"]),
        (spec(&|s| s.hooks.before_plan = vec!["exit 0".into()]),            Step::Planning,     vec!["the before_plan hook `exit 0` ended the shell before the tool ran"]),
        (spec(&|s| s.hooks.before_plan = vec!["}; true".into()]),           Step::Planning,     vec!["the before_plan hook `}; true` failed"]),
        (spec(&|s| s.hooks.before_plan = vec!["kill -9 $$".into()]),        Step::Planning,     vec!["the job's shell was killed during the plan step"]),
    ];
    for (spec, step, expect) in table {
        let start = Instant::now();
        let result = world.run(&spec).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{expect:?}");
        let Verdict::Failed { step: seen, .. } = &result.verdict else { panic!("{result:?}") };
        assert_eq!(*seen, step, "{expect:?}");
        for part in expect {
            let said = reason(&result);
            assert!(said.contains(part), "{part:?} is not in {said:?}");
            assert!(!said.contains('\u{1b}') && said.len() <= 4096);
        }
    }
    let mut config = world.config.clone();
    world.quiet().await;
    worker.end(Shutdown::Drain).await;
    config.env.insert("PATH".into(), "/nowhere".into());
    let spec = spec(&|_| {});
    let worker = world.start_with(config);
    let result = world.run(&spec).await;
    assert!(reason(&result).starts_with("terraform or tofu is not on PATH; install Terraform"));
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_interrupts_a_plan_and_its_hooks_after_the_run_still_run() {
    let world = World::new();
    let worker = world.start();
    let spec = hooked(&world, Phase::Plan, "echo begun; sleep 60");
    world.submit(&spec).await;
    until("the hook runs", || world.log(&spec, Step::Planning).contains("begun")).await;
    let start = Instant::now();
    world.stop(&spec).await;
    assert_eq!(world.result(&spec).await.verdict, Verdict::Interrupted);
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(world.log(&spec, Step::Planning).ends_with("final STOPPED\n"));
    world.quiet().await;
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_what_ignores_the_interrupt_is_killed() {
    let world = World::new();
    let mut config = world.config.clone();
    config.timing.grace_ms = 2_000;
    let worker = world.start_with(config);
    let stubborn = "trap '' INT; echo begun; while :; do sleep 0.1; done";
    #[rustfmt::skip]
    let table = [
        ("sleep 60", 3_000, 60_000, "printed nothing for 3 seconds"),
        ("while :; do echo x; sleep 0.1; done", 60_000, 5_000, "the run timeout of 5 seconds passed during the before_plan hook"),
        (stubborn, 3_000, 60_000, "printed nothing for 3 seconds; it did not obey the interrupt and was killed"),
        // Programs that leave the process group.
        #[cfg(target_os = "linux")]
        ("setsid sleep 60", 3_000, 60_000, "printed nothing for 3 seconds"),
        #[cfg(target_os = "linux")]
        ("setsid sh -c 'trap \"\" INT; while :; do sleep 0.1; done'", 3_000, 60_000, "it did not obey the interrupt and was killed"),
    ];
    for (hook, silence_ms, run_ms, expect) in table {
        let mut spec = hooked(&world, Phase::Plan, hook);
        spec.timeouts.silence_ms = silence_ms;
        spec.timeouts.run_ms = run_ms;
        let start = Instant::now();
        let result = world.run(&spec).await;
        assert!(start.elapsed() < Duration::from_secs(15), "{hook}");
        assert!(reason(&result).contains(expect), "{expect}: {}", reason(&result));
        let Claim::Held { group, .. } = world.claim(&spec).await else { panic!("no claim") };
        assert!(group_gone(&group.unwrap()), "nothing is left of {hook}");
        let killed = expect.contains("killed");
        assert_eq!(!result.warnings.is_empty(), killed, "{:?}", result.warnings);
        assert_eq!(world.log(&spec, Step::Planning).contains("final FAILED"), !killed);
        // A hook that was told to stop does not hand on to the tool.
        assert!(!world.calls().iter().any(|call| call.starts_with("plan")));
    }
    worker.end(Shutdown::Drain).await;
}

/// Nothing is known of a plan or an apply whose words are not there, least of all that nothing
/// changed.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_tool_said_must_be_there_to_its_end() {
    let world = World::new();
    let worker = world.start();
    let commit = world.commit(&[("main.tf", MAIN)]);
    #[rustfmt::skip]
    let table = [
        (Phase::Plan,  "rm ../show.json",                          "the plan as JSON is missing, though `terraform show` ended well"),
        (Phase::Plan,  ": >../show.json",                          "the plan as JSON is cut off, though"),
        (Phase::Plan,  "printf '{\"format_version\":' >../show.json", "the plan as JSON is cut off, though"),
        (Phase::Apply, "rm ../outputs.json",                       "what the apply put out is missing, though `terraform output` ended well"),
        (Phase::Apply, "printf '{\"a\":' >../outputs.json",        "what the apply put out is cut off, though"),
    ];
    for (phase, hook, expect) in table {
        let mut spec = world.spec(Phase::Plan, &commit);
        let hooks = match phase {
            Phase::Apply => &mut spec.hooks.after_apply,
            _ => &mut spec.hooks.after_plan,
        };
        hooks.push(hook.to_owned());
        let mut result = world.run(&spec).await;
        if phase == Phase::Apply {
            assert_eq!(result.verdict, Verdict::Ok, "{hook}");
            result = world.run(&world.apply_of(&spec, &result)).await;
        }
        assert!(reason(&result).contains(expect), "{hook}: {}", reason(&result));
        assert!(result.plan.is_none() && result.delta.is_none(), "{hook}: {result:?}");
    }
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_and_bytes_that_are_no_text() {
    let world = World::new();
    let worker = world.start();
    let flood = "printf 'bad \\377\\376 bytes\\n'; \
        awk 'BEGIN { for (i = 0; i < 500000; i++) printf \"line %07d of a flood that goes on and on and on and on\\n\", i }'; \
        sleep 60 & [ -z \"$(command -v setsid)\" ] || setsid sleep 60 & echo the end";
    let spec = hooked(&world, Phase::Plan, flood);
    let result = world.run(&spec).await;
    assert_eq!(result.verdict, Verdict::Ok);
    let log = world.log(&spec, Step::Planning);
    assert!(log.len() <= 20 * 1024 * 1024 && log.len() > 15 * 1024 * 1024, "{}", log.len());
    assert!(log.starts_with("bad \u{fffd}\u{fffd} bytes\nline 0000000"));
    assert_eq!(log.lines().filter(|line| line.contains("were cut here")).count(), 1);
    assert!(log.contains("line 0499999") && log.contains("the end\n") && log.contains("to add"));
    let Claim::Held { group, .. } = world.claim(&spec).await else { panic!("no claim") };
    assert!(group_gone(&group.unwrap()), "what a hook left in the background ends with the job");
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_is_not_always_a_job() {
    let world = World::new();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let queue = keys::first_queue(&"default".into());

    // A cancel came first.
    let cancelled = world.spec(Phase::Plan, &commit);
    let tombstone = Claim::Tombstone { at: UnixMs(1) };
    cas::create(&*world.docs, &keys::job_claim(&cancelled.id), "t", &tombstone).await.unwrap();
    // Another worker has it.
    let theirs = world.spec(Phase::Plan, &commit);
    let held = Claim::Held {
        pool: "default".into(),
        worker: "w2".into(),
        epoch: 1,
        group: None,
        at: UnixMs(1),
    };
    cas::create(&*world.docs, &keys::job_claim(&theirs.id), "h", &held).await.unwrap();
    // It is over, but the report may have been lost.
    let over = world.spec(Phase::Plan, &commit);
    let lost = JobResult { verdict: Verdict::Cancelled, ..result_of(&over) };
    cas::create(&*world.docs, &keys::job_result(&over.id), "r", &lost).await.unwrap();

    let worker = world.start();
    for spec in [&cancelled, &theirs, &over] {
        world.submit(spec).await;
    }
    // And one that is a job, to know when the others were handled.
    let last = world.spec(Phase::Plan, &commit);
    world.run(&last).await;
    until("only the other worker's pointer is left", || world.queues.peek(&queue).len() == 1).await;
    let left: windlass_core::job::Pointer = common::json(&world.queues.peek(&queue)[0].1);
    assert_eq!(left.job, theirs.id);
    assert_eq!(world.reports(&over), [News::Ended]);
    for spec in [&cancelled, &theirs] {
        assert_eq!(world.reports(spec), []);
        assert!(!world.docs.dump().contains_key(&keys::job_result(&spec.id)));
    }
    assert!(!world.instance().await.busy(), "slots of refused jobs are free");
    assert_eq!(world.calls().len(), 3, "one job ran: {:?}", world.calls());

    // The same pointer a second time.
    world.point(&last).await;
    let ended = |news: &&News| **news == News::Ended;
    let twice = || world.reports(&last).iter().filter(ended).count() == 2;
    until("it is reported again", twice).await;
    assert_eq!(world.calls().len(), 3);
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_and_the_same_pointer_run_a_job_once() {
    let world = World::new();
    let spec = hooked(&world, Phase::Plan, "sleep 0.5");
    let first = world.start();
    let mut config = world.config.clone();
    config.worker = "w2".into();
    config.work_dir = world.dir.join("work2");
    let second = world.start_with(config);
    world.submit(&spec).await;
    for _ in 0..5 {
        world.point(&spec).await;
    }
    world.result(&spec).await;
    first.end(Shutdown::Drain).await;
    second.end(Shutdown::Drain).await;
    assert_eq!(world.calls().len(), 3, "{:?}", world.calls());
}

/// Declares everything of this worker lost, as the sweep does.
async fn void(world: &World) {
    let key = keys::instance(&"default".into(), &"w1".into());
    let voided = cas::update(&*world.docs, &key, "sweep", |record: Option<&Instance>| {
        let record = record.unwrap();
        Ok(Change::Write(record.void(record.epoch).unwrap(), ()))
    });
    voided.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_ends_a_plan_but_not_a_task() {
    let world = World::new();
    let mut config = world.config.clone();
    config.timing.renew_busy_ms = 100;
    let worker = world.start_with(config);
    let plan = hooked(&world, Phase::Plan, "echo begun; sleep 60");
    world.submit(&plan).await;
    until("the plan runs", || world.log(&plan, Step::Planning).contains("begun")).await;
    void(&world).await;
    let result = world.result(&plan).await;
    let Verdict::Lost { cause } = result.verdict else { panic!("{result:?}") };
    assert_eq!(cause, "worker w1 could not renew its lease during the plan");
    until("it registers anew", || world.reports(&plan).contains(&News::Ended)).await;

    let mut task = hooked(&world, Phase::Task, "echo begun; sleep 4");
    task.command = Some("echo done".into());
    world.submit(&task).await;
    until("the task runs", || world.log(&task, Step::Performing).contains("begun")).await;
    let epoch = world.instance().await.epoch;
    void(&world).await;
    let lost = JobResult { verdict: Verdict::Lost { cause: "silent".into() }, ..result_of(&task) };
    cas::create(&*world.docs, &keys::job_result(&task.id), "sweep", &lost).await.unwrap();
    let late: JobResult =
        world.doc(&keys::job_late_result(&task.id), Duration::from_secs(10)).await;
    assert_eq!(late.verdict, Verdict::Ok, "evidence, which changes nothing");
    assert!(world.log(&task, Step::Performing).contains("done\n"));
    assert!(matches!(world.result(&task).await.verdict, Verdict::Lost { .. }));

    let after = hooked(&world, Phase::Plan, "true");
    assert_eq!(world.run(&after).await.verdict, Verdict::Ok);
    assert!(world.instance().await.epoch > epoch + 1, "a new epoch");
    worker.end(Shutdown::Drain).await;
}

fn result_of(spec: &JobSpec) -> JobResult {
    JobResult::blank(&spec.id, &spec.stack, Verdict::Ok, UnixMs(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_ends_before_its_lease_when_the_store_is_away() {
    let world = World::new();
    let mut config = world.config.clone();
    config.timing.renew_busy_ms = 200;
    config.timing.lease_ms = 2_000;
    config.timing.patience_ms = 100;
    let worker = world.start_with(config);
    let spec = hooked(&world, Phase::Plan, "echo begun; sleep 60");
    world.submit(&spec).await;
    until("the plan runs", || world.log(&spec, Step::Planning).contains("begun")).await;
    let Claim::Held { group, .. } = world.claim(&spec).await else { panic!("no claim") };
    let (group, start) = (group.unwrap(), Instant::now());
    world.away.store(true, Ordering::SeqCst);
    until("the tool is interrupted", || group_gone(&group)).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    world.away.store(false, Ordering::SeqCst);
    assert!(matches!(world.result(&spec).await.verdict, Verdict::Lost { .. }));
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_apply_did_is_told_when_the_store_is_back() {
    let world = World::new();
    let mut config = world.config.clone();
    config.timing.renew_busy_ms = 200;
    config.timing.lease_ms = 1_000;
    config.timing.patience_ms = 100;
    let worker = world.start_with(config.clone());
    let commit = world.commit(&[("main.tf", MAIN)]);
    let plan = world.spec(Phase::Plan, &commit);
    let planned = world.run(&plan).await;
    let mut apply = world.apply_of(&plan, &planned);
    apply.hooks.before_apply = vec!["echo begun; sleep 4".into()];
    world.submit(&apply).await;
    until("the apply runs", || world.log(&apply, Step::Applying).contains("begun")).await;
    world.away.store(true, Ordering::SeqCst);
    let spooled = world.dir.join("work/spool").join(apply.id.to_string()).join("result.json");
    until("the result is on disk", || spooled.exists()).await;
    assert_eq!(world.state("app/terraform.tfstate")["outputs"]["size"]["value"], "3");
    worker.end(Shutdown::Drain).await;
    assert!(spooled.exists(), "a worker that has to go leaves it");

    world.away.store(false, Ordering::SeqCst);
    let worker = world.start_with(config);
    let applied = world.result(&apply).await;
    assert_eq!(applied.verdict, Verdict::Ok);
    let outputs = common::values(&world.blob(&applied.outputs.unwrap().key));
    assert_eq!(outputs["size"].value, "3");
    assert!(world.log(&apply, Step::Applying).contains("Apply complete!"));
    until("it is reported", || world.reports(&apply).contains(&News::Ended)).await;
    until("the spool is empty", || !spooled.exists()).await;
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_and_now_interrupts_only_plans() {
    let world = World::new();
    let task = |wait: &str| {
        let mut task = hooked(&world, Phase::Task, &format!("echo begun; sleep {wait}"));
        task.command = Some("echo done".into());
        task
    };
    for how in [Shutdown::Drain, Shutdown::Now] {
        let worker = world.start();
        let running = task("1");
        world.submit(&running).await;
        until("it runs", || world.log(&running, Step::Performing).contains("begun")).await;
        worker.end(how).await;
        assert_eq!(world.result(&running).await.verdict, Verdict::Ok, "{how:?}");
        assert!(!world.instance().await.busy());
    }
    let worker = world.start();
    let plan = hooked(&world, Phase::Plan, "echo begun; sleep 60");
    world.submit(&plan).await;
    until("it runs", || world.log(&plan, Step::Planning).contains("begun")).await;
    let start = Instant::now();
    worker.end(Shutdown::Now).await;
    assert!(start.elapsed() < Duration::from_secs(3));
    let result = world.result(&plan).await;
    assert_eq!(
        result.verdict,
        Verdict::Lost { cause: "worker w1 was stopped during the plan".into() }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_drain_is_obeyed_until_it_is_lifted() {
    let world = World::new();
    let worker = world.start();
    let first = hooked(&world, Phase::Plan, "true");
    world.run(&first).await;
    let key = keys::instance(&"default".into(), &"w1".into());
    let mark = |drain: bool| {
        cas::update(
            &*world.docs,
            &key,
            if drain { "d" } else { "u" },
            move |r: Option<&Instance>| {
                let record = r.unwrap();
                let ann = DrainedBy::Operator("ann".into());
                let next = if drain { record.drain(ann, UnixMs(1)) } else { record.undrain(&ann) };
                Ok(Change::Write(next.unwrap(), ()))
            },
        )
    };
    world.quiet().await;
    mark(true).await.unwrap();
    let second = hooked(&world, Phase::Plan, "true");
    world.submit(&second).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.docs.dump().contains_key(&keys::job_claim(&second.id)));
    let queue = keys::first_queue(&"default".into());
    assert_eq!(world.queues.depth(&queue).await.unwrap(), 1, "the pointer is handed back");
    mark(false).await.unwrap();
    assert_eq!(world.result(&second).await.verdict, Verdict::Ok);
    worker.end(Shutdown::Drain).await;
}

/// A worker process of its own, for the next test to kill.
#[tokio::test(flavor = "multi_thread")]
async fn child_worker() {
    let Ok(dir) = std::env::var("WORKER_TEST_DIR") else { return };
    let world = World::at(std::path::Path::new(&dir));
    let _worker = world.start();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let plan = world.spec(Phase::Plan, &commit);
    let planned = world.run(&plan).await;
    let mut apply = world.apply_of(&plan, &planned);
    let hook = format!(
        "echo ::add-mask hunter2; touch {dir}/begun; sleep 1; echo said after the worker died: hunter2"
    );
    apply.hooks.before_apply = vec![hook];
    // What is left in the background, outside of the group, ends with the job all the same.
    let stray = "[ -z \"$(command -v setsid)\" ] || setsid sleep 600 &";
    apply.hooks.after_apply = vec![format!("touch {dir}/after"), stray.to_owned()];
    world.submit(&apply).await;
    let Claim::Held { group, .. } = world.claim(&apply).await else { return };
    let group = serde_json::to_vec(&group).unwrap();
    fs::write(format!("{dir}/group.part"), group).unwrap();
    fs::rename(format!("{dir}/group.part"), format!("{dir}/group")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_neither_stops_its_apply_nor_hides_it() {
    let own = tempfile::tempdir().unwrap();
    let dir = own.path().canonicalize().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_worker", "--nocapture"])
        .env("WORKER_TEST_DIR", &dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the apply began", || dir.join("begun").exists() && dir.join("group").exists()).await;
    let group = common::json(&fs::read(dir.join("group")).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!group_gone(&group), "the tool goes on");

    // A next process on the same folder leaves the running job's files alone, and stores what the
    // tool says after all.
    let world = World::at(&dir);
    let worker = world.start();
    until("it registered", || !world.docs.dump().is_empty()).await;
    assert_eq!(fs::read_dir(dir.join("work/runs")).unwrap().count(), 1);
    until("the group is gone", || group_gone(&group)).await;
    assert!(dir.join("after").exists(), "hooks after the apply ran too");
    assert_eq!(world.state("app/terraform.tfstate")["outputs"]["size"]["value"], "3");
    until("its folder is cleared", || fs::read_dir(dir.join("work/runs")).unwrap().count() == 0)
        .await;
    let stored = world.stored();
    for words in [
        "said after the worker died: ***",
        "Apply complete!",
        "[Worker w1 was gone while this ran on; it ended with exit code 0.]",
    ] {
        assert!(stored.contains(words), "{words} is not in {stored}");
    }
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inits_of_one_plugin_cache_take_turns() {
    let world = World::new();
    let wrapper = world.dir.join("bin/terraform");
    let script = fs::read_to_string(&wrapper).unwrap();
    let mark = format!(
        "#!/bin/sh\nif [ \"$1\" = init ]; then mkdir '{0}/one' || touch '{0}/two'; sleep 0.3; rmdir '{0}/one'; fi\n",
        world.dir.display()
    );
    fs::write(&wrapper, script.replacen("#!/bin/sh\n", &mark, 1)).unwrap();
    fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let mut config = world.config.clone();
    config.slots = 2;
    let first = world.start_with(config.clone());
    config.worker = "w2".into();
    config.slots = 1;
    config.work_dir = world.dir.join("work2");
    let second = world.start_with(config);
    let specs: Vec<JobSpec> = (0..4).map(|_| hooked(&world, Phase::Plan, "true")).collect();
    for spec in &specs {
        world.submit(spec).await;
    }
    for spec in &specs {
        assert_eq!(world.result(spec).await.verdict, Verdict::Ok);
    }
    assert!(!world.dir.join("two").exists(), "two inits at once");
    first.end(Shutdown::Drain).await;
    second.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_loses_requests_and_replies_runs_each_job_once() {
    for seed in 1..=4 {
        let mut world = World::new();
        world.faults = Faults::seeded(seed, 150);
        world.config.timing.renew_busy_ms = 50;
        world.config.timing.visibility_ms = 500;
        world.config.timing.poll_ms = 100;
        let worker = world.start();
        let commit = world.commit(&[("main.tf", MAIN)]);
        let plan = world.spec(Phase::Plan, &commit);
        let planned = world.run(&plan).await;
        assert_eq!(planned.verdict, Verdict::Ok, "seed {seed}");
        let apply = world.apply_of(&plan, &planned);
        let applied = world.run(&apply).await;
        assert_eq!(applied.verdict, Verdict::Ok, "seed {seed}");
        world.quiet().await;
        for spec in [&plan, &apply] {
            until("the report", || world.reports(spec).contains(&News::Ended)).await;
        }
        let applies = world.calls().iter().filter(|call| call.starts_with("apply")).count();
        assert_eq!((applies, world.calls().len()), (1, 6), "seed {seed}: {:?}", world.calls());
        assert!(world.log(&apply, Step::Applying).contains("Apply complete!"));
        worker.end(Shutdown::Drain).await;
    }
}
