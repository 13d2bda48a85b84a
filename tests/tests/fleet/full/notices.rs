//! Notices of hooks, in both of their forms, whoever ends the machine.
use super::*;
use e2e::fleet::pool::POOL;
use emulator::{ACCOUNT, Hook, REGION, Why};

#[test]
fn a_notice_is_understood_in_both_forms_and_a_tryout_is_taken() {
    let yard = Yard::open(&["a"], 4, 600_000);
    let (pool, group) = (&yard.pool, yard.pool.group.clone());
    group.did("SetDesiredCapacity", &[("DesiredCapacity", "2")]);
    pool.cloud.start();
    until("AWS's tryout of the queue to be taken", LONG, || {
        let taken = pool.functions_said().contains("AWS tries out the queue");
        if taken { Ok(()) } else { Err("nothing".to_owned()) }
    });
    let machines = until("two workers to register", LONG, || {
        let machines = group.at("InService");
        let registered = machines.iter().filter(|one| pool.record(one)["epoch"] == 1).count();
        if registered == 2 { Ok(machines) } else { Err(format!("{registered} of {machines:?}")) }
    });
    // Straight to the queue, for an end by hand.
    end_by_hand(&group, &machines[0]);
    yard.goes_by_message(&machines[0]);

    // By way of EventBridge, for a health check that failed.
    let emulator = &group.emulator;
    let pattern = json!({
        "source": ["aws.autoscaling"],
        "detail-type": ["EC2 Instance-terminate Lifecycle Action"],
    });
    let rule = json!({ "Name": "hooks", "EventPattern": pattern.to_string() });
    emulator.json("operator", "events", "AWSEvents.PutRule", &rule).expect("a rule");
    let queue = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}-hooks", pool.cloud.name);
    let target = json!({ "Rule": "hooks", "Targets": [{ "Id": "queue", "Arn": queue }] });
    emulator.json("operator", "events", "AWSEvents.PutTargets", &target).expect("a target");
    group.did(
        "PutLifecycleHook",
        &[
            ("LifecycleHookName", "DrainWorkerLifecycleHook"),
            ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
            ("HeartbeatTimeout", "180"),
            ("DefaultResult", "CONTINUE"),
        ],
    );
    let (status, text) = emulator
        .query(
            "operator",
            "autoscaling",
            &[
                ("Action", "SetInstanceHealth"),
                ("InstanceId", &machines[1]),
                ("HealthStatus", "Unhealthy"),
            ],
        )
        .expect("an answer");
    assert_eq!(status, 200, "{text}");
    yard.goes_by_message(&machines[1]);
    let ends = group.ends().into_iter().map(|end| (end.why, end.hook));
    let expected = [(Why::User, Hook::Completed), (Why::Unhealthy, Hook::Completed)];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    pool.prove();
}

impl Yard {
    /// Waits until this machine has gone, and the drainer has heard of it by a message: what the
    /// tick sees has no token.
    #[track_caller]
    fn goes_by_message(&self, machine: &str) {
        self.goes(machine);
        until("the message of its hook", LONG, || {
            let key = format!("fleet/{POOL}/drains/{machine}.json");
            let body = self.control.object(&key).unwrap_or_default();
            let drain: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let token = drain["value"]["notice"]["token"].as_str().unwrap_or_default();
            if token.is_empty() { Err(drain.to_string()) } else { Ok(()) }
        });
    }
}
