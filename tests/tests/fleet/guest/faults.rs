//! Spacelift and Auto Scaling as they are on bad days. Each of these passes; then all is as it should
//! be, and nobody's run was lost.
use super::site::{PAST_BOOTS, Release, Settings, Site};
use e2e::{SHORT, until};
use emulator::{Fault, When};
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
