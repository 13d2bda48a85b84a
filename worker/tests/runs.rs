//! Jobs that end as they should, with the real tool and real git.
#![expect(clippy::unwrap_used, reason = "what tests share is a test too")]
#[expect(dead_code, reason = "the other test binary uses the rest")]
mod common;
use common::{MAIN, World, json, reason, values};
use std::fs;
use windlass_core::changes::{Action, Changes, Resource, SENSITIVE};
use windlass_core::definition::{EnvValue, EnvVar, FileMount, Hooks};
use windlass_core::job::{Delta, Input, News, Phase, Step, Verdict};
use windlass_core::keys;
use windlass_core::run::RunType;
use windlass_ports::{Blobs, Secrets};
use windlass_worker::Shutdown;

fn var(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: EnvValue::Value(value.into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_as_it_was_shown() {
    let world = World::new();
    let commit = world.commit(&[("stacks/app/main.tf", MAIN)]);
    let worker = world.start();
    let mut spec = world.spec(Phase::Plan, &commit);
    spec.project_root = "stacks/app".into();
    spec.env = vec![var("TF_VAR_size", "7")];
    let planned = world.run(&spec).await;
    assert_eq!(planned.verdict, Verdict::Ok);
    assert_eq!(planned.delta, Some(Delta { add: 1, change: 0, delete: 0 }));
    assert!(planned.changes && planned.tool_version.is_some() && planned.tool_ms > 0);
    let changes: Changes = json(&world.blob(planned.changes_key.as_ref().unwrap()));
    assert_eq!(changes.resources[0].address, "terraform_data.a");
    assert_eq!(changes.resources[0].action, Action::Create);
    let password = changes.outputs.iter().find(|o| o.name == "password").unwrap();
    assert_eq!(password.after, Some(SENSITIVE.into()));

    let apply = world.apply_of(&spec, &planned);
    let applied = world.run(&apply).await;
    assert_eq!(applied.verdict, Verdict::Ok);
    let outputs = applied.outputs.clone().unwrap();
    assert!(outputs.values["password"].sensitive && !outputs.values["size"].sensitive);
    assert_eq!(outputs.key, keys::output_values(&"app".into(), &apply.id));
    assert_eq!(values(&world.blob(&outputs.key))["size"].value, "7");
    let resources: Vec<Resource> = json(&world.blob(applied.resources_key.as_ref().unwrap()));
    assert_eq!(resources[0].address, "terraform_data.a");
    assert_eq!(resources[0].provider, "terraform.io/builtin/terraform");
    world.quiet().await;

    let calls = world.calls();
    let words: Vec<&str> = calls.iter().map(|c| c.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["init", "plan", "show", "init", "apply", "output"]);
    assert_eq!(calls[3], "init -input=false -lockfile=readonly");
    assert_eq!(world.state("app/terraform.tfstate")["outputs"]["size"]["value"], "7");
    assert!(world.log(&spec, Step::Planning).contains("\u{1b}["), "colours are kept");
    assert!(world.log(&spec, Step::Planning).contains("will be created"));
    assert!(world.log(&apply, Step::Applying).contains("Apply complete!"));
    assert!(world.log(&spec, Step::Preparing).contains("project root stacks/app"));
    for (spec, result, work) in
        [(&spec, &planned, Step::Planning), (&apply, &applied, Step::Applying)]
    {
        let began: Vec<Step> = result.began.iter().map(|began| began.step).collect();
        assert_eq!(began, [Step::Initializing, work]);
        // Which of them were reported depends on how long they took.
        assert_eq!(world.reports(spec).last(), Some(&News::Ended));
    }
    worker.end(Shutdown::Drain).await;
    assert_eq!(fs::read_dir(world.dir.join("work/runs")).unwrap().count(), 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_become_inputs_and_an_unchanged_stack_changes_nothing() {
    let world = World::new();
    let commit = world.commit(&[
        ("net/main.tf", "output \"vpc\" { value = \"vpc-1\" }\noutput \"zones\" { value = [\"a\", \"b\"] }\n"),
        ("app/main.tf", "variable \"vpc\" {}\nvariable \"zones\" { type = list(string) }\n\
            resource \"terraform_data\" \"x\" { input = \"${var.vpc}-${join(\"+\", var.zones)}\" }\n\
            output \"x\" { value = terraform_data.x.output }\n"),
    ]);
    let worker = world.start();
    let mut net = world.spec(Phase::Plan, &commit);
    net.project_root = "net".into();
    net.stack = "net".into();
    let key = {
        let planned = world.run(&net).await;
        assert!(planned.changes, "outputs alone are a change");
        assert_eq!(planned.delta, Some(Delta::default()));
        let apply = world.apply_of(&net, &planned);
        world.run(&apply).await.outputs.unwrap().key
    };
    let input = |output: &str, name: &str| Input {
        name: name.into(),
        from: "net".into(),
        output: output.into(),
        outputs_key: key.clone(),
    };
    let mut app = world.spec(Phase::Plan, &commit);
    app.project_root = "app".into();
    app.inputs = vec![input("vpc", "TF_VAR_vpc"), input("zones", "TF_VAR_zones")];
    let planned = world.run(&app).await;
    let apply = world.apply_of(&app, &planned);
    let applied = world.run(&apply).await;
    let outputs = values(&world.blob(&applied.outputs.unwrap().key));
    assert_eq!(outputs["x"].value, "vpc-1-a+b");

    let mut again = world.spec(Phase::Plan, &commit);
    again.project_root = "app".into();
    again.inputs = app.inputs.clone();
    let planned = world.run(&again).await;
    assert_eq!((planned.verdict, planned.changes), (Verdict::Ok, false));

    let mut missing = world.spec(Phase::Plan, &commit);
    missing.project_root = "app".into();
    missing.inputs = vec![input("gone", "TF_VAR_vpc"), input("zones", "TF_VAR_zones")];
    let failed = world.run(&missing).await;
    assert_eq!(reason(&failed), "inputs missing: net.gone => TF_VAR_vpc");
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_plan_that_was_shown_is_applied() {
    let world = World::new();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let worker = world.start();
    let spec = world.spec(Phase::Plan, &commit);
    let planned = world.run(&spec).await;
    let mut apply = world.apply_of(&spec, &planned);
    apply.plan.as_mut().unwrap().digest = "0123456789abcdef".into();
    let failed = world.run(&apply).await;
    assert!(reason(&failed).starts_with("the plan changed since it was shown"), "{failed:?}");

    let mut gone = world.apply_of(&spec, &planned);
    gone.id.attempt = gone.id.attempt.next();
    world.blobs.delete(&planned.plan.unwrap().key).await.unwrap();
    let failed = world.run(&gone).await;
    assert!(reason(&failed).starts_with("the plan to apply is gone"));
    assert!(!world.calls().iter().any(|call| call.starts_with("apply")));
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_share_a_shell_with_the_tool_and_files_reach_the_apply() {
    let world = World::new();
    let main = "variable \"who\" {}\nresource \"terraform_data\" \"a\" { input = file(\"made.txt\") }\n\
        output \"who\" { value = var.who }\noutput \"mounted\" { value = file(\"conf/a.txt\") }\n";
    let commit = world.commit(&[
        ("s/main.tf", main),
        ("s/removed.tf", "broken {"),
        ("shared/a.txt", "mounted"),
    ]);
    let worker = world.start();
    let mut spec = world.spec(Phase::Plan, &commit);
    spec.project_root = "s".into();
    spec.files = vec![FileMount { path: "conf/a.txt".into(), source: "shared/a.txt".into() }];
    let one = |text: &str| vec![text.to_owned()];
    spec.hooks = Hooks {
        before_init: one(
            "rm -f removed.tf; echo made >made.txt; mkdir -p ../gen; echo g >../gen/g",
        ),
        before_plan: one("export TF_VAR_who=\"$TF_VAR_spacelift_run_state by it's me\""),
        after_plan: one("test -f windlass.plan && echo planned"),
        before_apply: one("cat ../gen/g made.txt && test ! -e removed.tf"),
        after_apply: vec!["echo \"labels $TF_VAR_spacelift_stack_labels\"".into(), "exit 0".into()],
        after_run: one("echo \"final $TF_VAR_spacelift_final_run_state\""),
        ..Hooks::default()
    };
    let planned = world.run(&spec).await;
    assert_eq!(planned.verdict, Verdict::Ok);
    assert!(world.log(&spec, Step::Planning).ends_with("planned\n"), "not the end of the run");
    spec.hooks.before_init.clear();
    let apply = world.apply_of(&spec, &planned);
    let applied = world.run(&apply).await;
    assert_eq!(applied.verdict, Verdict::Ok);
    let log = world.log(&apply, Step::Applying);
    assert!(log.starts_with("g\nmade\n"), "{log}");
    assert!(log.ends_with("labels aws,b\nfinal FINISHED\n"), "{log}");
    let outputs = values(&world.blob(&applied.outputs.unwrap().key));
    assert_eq!(outputs["who"].value, "PLANNING by it's me");
    assert_eq!(outputs["mounted"].value, "mounted");
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_tool_and_nobody_else() {
    let world = World::new();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let secret = "s3cr3t w/ord+";
    world.secrets.set("app/pw", secret).await.unwrap();
    let worker = world.start();
    let mut spec = world.spec(Phase::Plan, &commit);
    spec.env = vec![
        EnvVar { name: "ro_TF_VAR_password".into(), value: EnvValue::Secret("app/pw".into()) },
        EnvVar { name: "wo_TF_VAR_password".into(), value: EnvValue::Secret("app/pw".into()) },
        var("LINK", "https://u:${TF_VAR_password}@h"),
    ];
    spec.hooks.before_plan = vec![
        "echo \"$TF_VAR_password\"; printf %s \"$TF_VAR_password\" | base64; echo $LINK".into(),
        "printf 's3cr3t%%20w%%2Ford%%2B\\n'; printf 's3cr'; sleep 1; printf '3t w/ord+\\n'".into(),
        // Of ours nothing but the mark by which its processes are found.
        "echo ::add-mask made-up-later; echo made-up-later; \
         env | grep WINDLASS_ | grep -vc ^WINDLASS_JOB_PROCESS=; true"
            .into(),
    ];
    spec.hooks.after_plan = vec!["echo made-up-later s3cr3t w/ord+ >&2; false".into()];
    let failed = world.run(&spec).await;
    assert!(reason(&failed).starts_with("the after_plan hook `echo *** ***"), "{failed:?}");
    assert!(reason(&failed).contains("exit code 1"));
    let log = world.log(&spec, Step::Planning);
    assert!(
        log.starts_with("***\n***\nhttps://u:***@h\n***\n***\n::add-mask ***\n***\n0\n"),
        "{log}"
    );

    let mut tracked = spec.clone();
    tracked.id.attempt = tracked.id.attempt.next();
    tracked.hooks = Hooks::default();
    let planned = world.run(&tracked).await;
    let apply = world.apply_of(&tracked, &planned);
    assert_eq!(world.run(&apply).await.verdict, Verdict::Ok);
    world.quiet().await;
    let stored = world.stored();
    for form in ["s3cr3t", "czNjcjN0IHcvb3", "made-up-later"] {
        let place = stored.find(form).map(|at| &stored[at.saturating_sub(200)..at + 40]);
        // The spec itself holds the hooks' text.
        let hook = place.is_some_and(|place| place.contains("before_plan"));
        assert!(place.is_none() || hook, "{form} in {place:?}");
    }
    let mut unset = world.spec(Phase::Plan, &commit);
    unset.env = vec![EnvVar { name: "A".into(), value: EnvValue::Secret("app/none".into()) }];
    let failed = world.run(&unset).await;
    assert_eq!(reason(&failed), "secret app/none is not set; windlass secret set app/none");
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_previews_destroys_and_tasks() {
    let world = World::new();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let worker = world.start();
    let mut spec = world.spec(Phase::Plan, &commit);
    spec.workspace = "prod".into();
    let planned = world.run(&spec).await;
    let apply = world.apply_of(&spec, &planned);
    assert_eq!(world.run(&apply).await.verdict, Verdict::Ok);
    assert!(world.calls().len() <= 8, "{:?}", world.calls());
    assert!(world.state("app/workspaces/prod/terraform.tfstate")["resources"][0].is_object());

    let mut preview = world.spec(Phase::Plan, &commit);
    preview.workspace = "prod".into();
    preview.run_type = RunType::Proposed;
    preview.lock = false;
    preview.env = vec![var("TF_VAR_size", "9")];
    preview.targets = vec!["terraform_data.a".into()];
    let previewed = world.run(&preview).await;
    assert_eq!(previewed.delta, Some(Delta { add: 0, change: 1, delete: 0 }));
    assert_eq!(previewed.plan, None, "nobody may apply a preview");
    let call = world.calls().into_iter().rfind(|call| call.starts_with("plan")).unwrap();
    assert!(call.contains("-lock=false") && call.contains("-target=terraform_data.a"), "{call}");

    let mut task = world.spec(Phase::Task, &commit);
    task.workspace = "prod".into();
    task.command = Some("terraform state list; echo \"$A\"; exit 3".into());
    task.env = vec![var("wo_A", "written"), var("ro_A", "read")];
    task.hooks.before_perform = vec!["echo before".into()];
    task.hooks.after_run = vec!["echo $TF_VAR_spacelift_final_run_state".into()];
    let failed = world.run(&task).await;
    assert!(reason(&failed).starts_with("the command failed with exit code 3"), "{failed:?}");
    assert_eq!(world.log(&task, Step::Performing), "before\nterraform_data.a\nwritten\nFAILED\n");

    let mut destroy = world.spec(Phase::Destroy, &commit);
    destroy.workspace = "prod".into();
    let destroyed = world.run(&destroy).await;
    assert_eq!(destroyed.verdict, Verdict::Ok);
    assert_eq!(destroyed.delta, Some(Delta { add: 0, change: 0, delete: 1 }));
    let left: Vec<Resource> = json(&world.blob(destroyed.resources_key.as_ref().unwrap()));
    assert_eq!(left, []);
    assert!(world.log(&destroy, Step::Destroying).contains("1 destroyed"));
    worker.end(Shutdown::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_codes_own_backend_is_left_alone() {
    let world = World::new();
    let own = world.dir.join("own.tfstate");
    let main =
        format!("terraform {{\n  backend \"local\" {{ path = \"{}\" }}\n}}\n{MAIN}", own.display());
    let commit = world.commit(&[("main.tf", &main)]);
    let worker = world.start();
    let spec = world.spec(Phase::Plan, &commit);
    let planned = world.run(&spec).await;
    let apply = world.apply_of(&spec, &planned);
    let applied = world.run(&apply).await;
    assert_eq!(applied.verdict, Verdict::Ok);
    assert!(own.exists() && !world.dir.join("state/app").exists());
    let resources: Vec<Resource> = json(&world.blob(applied.resources_key.as_ref().unwrap()));
    assert_eq!(resources[0].address, "terraform_data.a");
    worker.end(Shutdown::Drain).await;
}

/// Each request is paid for on AWS, and a round trip that somebody waits for. What a job takes in
/// time, `windlass bench overhead` measures.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_asks_little_of_the_stores() {
    let world = World::new();
    let commit = world.commit(&[("main.tf", MAIN)]);
    let worker = world.start();
    let spec = world.spec(Phase::Plan, &commit);
    let planned = world.run(&spec).await;
    world.run(&world.apply_of(&spec, &planned)).await;
    world.quiet().await;
    // How often it looks for a stop, and stores what a log has grown by, depends on the time it takes.
    let of_the_jobs = |name: &String| {
        name.contains(spec.id.run.as_str())
            && !name.contains(" logs/")
            && !name.ends_with("/control")
    };
    let asked = world.faults.trace().into_iter().map(|call| call.name);
    let asked: Vec<String> = asked.filter(of_the_jobs).collect();
    assert_eq!(asked.len(), 8 + 9, "{asked:#?}");
    worker.end(Shutdown::Drain).await;
}
