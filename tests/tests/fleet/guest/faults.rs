//! Spacelift and Auto Scaling as they are on bad days. Each of these passes; then all is as it should
//! be, and nobody's run was lost.
use super::site::{HOOK_TIMEOUT, PAST_BOOTS, Release, Settings, Site};
use e2e::{SHORT, until};
use emulator::{Failing, Fault, Hook, When, Why};
use spacelift_server::Failure;
use std::time::Duration;

/// Machines come for two runs, and go when they are over, however often it has to be tried.
#[track_caller]
fn comes_and_goes(site: &Site, what: &str) {
    site.crew.queue(2);
    until(&format!("machines, with {what}"), SHORT, || {
        let answer = site.try_tick();
        site.boot();
        match site.crew.busy().len() {
            2 => Ok(()),
            n => Err(format!("{n} runs have one; {answer:?}")),
        }
    });
    site.crew.finish_all();
    until(&format!("the machines' end, with {what}"), SHORT, || {
        let answer = site.try_tick();
        site.crew.turn();
        let standing = site.group.standing();
        let left = standing.instances.len() + standing.detached.len();
        match (standing.desired, left) {
            (0, 0) => Ok(()),
            _ => Err(format!("{standing:?}; {answer:?}")),
        }
    });
}

#[test]
fn spacelift_answers_late_wrongly_or_not_at_all() {
    let site = Site::new(Settings::default());
    let server = site.server();
    let slow = Failure::Slow(Duration::from_millis(300));
    #[rustfmt::skip]
    let table = [
        // field            times  failure
        ("workerPool",      1,     Failure::Status(500, "<html>oops</html>")),
        ("workerPool",      2,     Failure::Error("internal error")),
        ("workerPool",      1,     Failure::Error("unauthorized")),
        ("workerPool",      1,     Failure::TooMany { retry_after_s: Some(1) }),
        ("workerPool",      3,     slow.clone()),
        ("workerPool",      1,     Failure::LostReply),
        ("workerDrainSet",  1,     Failure::Status(500, "oops")),
        ("workerDrainSet",  2,     Failure::Error("internal error")),
        ("workerDrainSet",  1,     Failure::TooMany { retry_after_s: Some(1) }),
        ("workerDrainSet",  1,     slow),
        ("workerDrainSet",  2,     Failure::LostReply),
        ("apiKeyUser",      1,     Failure::Status(503, "")),
        ("apiKeyUser",      1,     Failure::Error("internal error")),
    ];
    for (field, times, failure) in table {
        // Each begins with a process, and a token, of its own.
        site.functions.lambda.kill();
        server.fail(field, times, failure.clone());
        comes_and_goes(&site, &format!("{field}: {failure:?}"));
        server.heal();
    }
}

#[test]
fn tokens_expire_and_are_revoked() {
    let site = Site::new(Settings::default());
    comes_and_goes(&site, "a token that lasts");
    assert_eq!(site.server().minted(), 1, "one process, one token");
    site.server().set_token_lives_s(1);
    site.server().revoke_tokens();
    comes_and_goes(&site, "tokens that last a second");
    site.server().set_token_lives_s(3_600);
    site.server().before("workerDrainSet", |_| {});
    site.server().revoke_tokens();
    comes_and_goes(&site, "a token that was revoked");
}

#[test]
fn auto_scaling_throttles_fails_and_forgets_to_answer() {
    let (before, after) = (Release::Before8, Release::From8);
    let [first, second] =
        [before, after].map(|release| Site::new(Settings { release, ..Settings::default() }));
    let (auto_scaling, ec2) = ("autoscaling", "ec2");
    let whole = "TerminateInstanceInAutoScalingGroup";
    #[rustfmt::skip]
    let table = [
        // where    service      action                        when           status  times
        (&first,   auto_scaling,  "DescribeAutoScalingGroups",  When::Before,  400,    2),
        (&first,   auto_scaling,  "SetDesiredCapacity",         When::Before,  400,    2),
        (&first,   auto_scaling,  "SetDesiredCapacity",         When::After,   500,    1),
        (&first,   auto_scaling,  "DetachInstances",            When::Before,  400,    2),
        (&first,   auto_scaling,  "DetachInstances",            When::Before,  500,    1),
        (&first,   ec2,           "DescribeInstances",          When::Before,  503,    2),
        (&first,   ec2,           "TerminateInstances",         When::Before,  400,    2),
        (&first,   ec2,           "TerminateInstances",         When::After,   0,      1),
        (&second,  auto_scaling,  whole,                        When::Before,  400,    2),
        (&second,  auto_scaling,  whole,                        When::After,   500,    1),
        (&second,  auto_scaling,  whole,                        When::After,   0,      1),
    ];
    for (site, service, action, when, status, times) in table {
        let fault = Fault {
            service: Some(service.to_owned()),
            action: Some(action.to_owned()),
            caller: Some("fn-guest".to_owned()),
            when,
            status: Some(status),
            times: Some(times),
            ..Fault::default()
        };
        // Each begins with a process that knows nothing of its role.
        site.functions.lambda.kill();
        site.emulator.set_faults(&[fault]).expect("faults");
        comes_and_goes(site, &format!("{action}: {status} {when:?}"));
        assert_eq!(site.emulator.struck().expect("rules"), [u64::from(times)], "{action}");
    }
}

/// The machine is detached, and nobody hears of it: it runs on, in no group. It is found and ended as
/// soon as it is surely no machine that is only just being launched.
#[test]
fn a_machine_that_was_detached_and_not_ended_is_found_again() {
    let tag = Settings::default().tag;
    for (action, when, tag) in [
        ("DetachInstances", When::After, tag),
        ("TerminateInstances", When::Before, tag),
        // Only its worker still says that it is there.
        ("TerminateInstances", When::Before, ("Name", "worker")),
    ] {
        let site = Site::with_machines(1, Settings { tag, ..Settings::default() });
        let fault = Fault {
            action: Some(action.to_owned()),
            when,
            status: Some(500),
            for_s: None,
            ..Fault::default()
        };
        site.emulator.set_faults(&[fault]).expect("faults");
        site.tick();
        site.emulator.set_faults(&[]).expect("no faults");
        assert_eq!(site.group.standing().detached.len(), 1, "{action}");
        site.set_clock(PAST_BOOTS);
        site.tick();
        let standing = site.group.standing();
        assert_eq!((standing.desired, standing.detached.len()), (0, 0), "{action}");
    }
}

/// From v8.0 on that module's other function lets machines go. Where it is away, or has given up, the
/// hook ends by itself; nothing here waits for that, and nothing is asked twice.
#[test]
fn a_hook_that_nobody_completes_ends_by_itself() {
    let release = Release::From8;
    let site = Site::with_machines(2, Settings { release, ..Settings::default() });
    site.hold(true);
    site.crew.queue(1);
    site.crew.turn();
    site.tick();
    let waits = site.group.at("Terminating:Wait");
    assert_eq!((site.group.desired(), waits.len()), (1, 1));
    // Nobody takes a run on what waits: one more is wanted, and one more comes.
    site.crew.queue(1);
    site.crew.turn();
    site.tick();
    assert_eq!((site.group.desired(), site.group.at("Terminating:Wait")), (2, waits.clone()));
    site.group.pass(HOOK_TIMEOUT + Duration::from_secs(1));
    let ends: Vec<_> = site.group.ends().into_iter().map(|e| (e.instance, e.why, e.hook)).collect();
    assert_eq!(ends, [(waits[0].clone(), Why::User, Hook::Lapsed)]);
    site.crew.turn();
    assert_eq!(site.crew.busy().len(), 2);
    let asked = site.calls().into_iter().filter(|call| call.action.starts_with("Terminate"));
    assert_eq!(asked.count(), 1);
}

/// What a release before v8.0 left in no group, the role of a later one can't end. It is asked once, a
/// person is told where it is, and other machines that are broken go all the same.
#[test]
fn what_the_role_may_not_end_is_named_and_hinders_nothing() {
    let release = Release::From8;
    let site = Site::with_machines(1, Settings { release, ..Settings::default() });
    let left = site.group.at("InService").remove(0);
    let form =
        [("InstanceIds.member.1", left.as_str()), ("ShouldDecrementDesiredCapacity", "true")];
    site.group.did("DetachInstances", &form);
    site.server().pool(|pool| pool.workers.clear());
    site.crew.queue(2);
    site.tick();
    let mute = site.group.at("Pending");
    site.crew.mute(&mute);
    site.boot();
    site.set_clock(PAST_BOOTS);
    // What would come in their place would be too old at once, by that clock.
    let none = Failing { code: "InsufficientInstanceCapacity".to_owned(), ..Failing::default() };
    site.emulator.fail_launches(&site.group.name, Some(&none)).expect("launches fail");
    until("all others to go", SHORT, || {
        site.tick();
        match mute.iter().all(|machine| site.group.gone().contains(machine)) {
            true => Ok(()),
            false => Err(format!("{:?} of {mute:?}", site.group.gone())),
        }
    });
    for _ in 0..2 {
        site.tick();
    }
    assert_eq!(site.last()["failed"], 0);
    let asked = site.calls().into_iter().filter(|call| call.action == "TerminateInstances");
    assert_eq!(asked.count(), 1);
    let told =
        site.functions.told("it runs in no group, and the role may not end it: do it by hand");
    assert!(told.iter().all(|line| line["instance"] == left) && !told.is_empty(), "{told:#?}");
    assert_eq!(site.group.standing().detached, [left]);
}
