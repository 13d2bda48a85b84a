//! Auto Scaling groups keep AWS's promises, as far as a control plane stands on them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use emulator::{ACCOUNT, Emulator, Failing, Hook, REGION, Why};
use std::sync::Arc;
use std::time::{Duration, Instant};
use windlass_core::drain::{self, Message};

const GROUP: &str = "workers";
const OPERATOR: &str = "operator";

struct Yard {
    server: Arc<Emulator>,
}

impl Yard {
    /// A group with this many machines at first, up to ten.
    fn with(desired: u32, hook: bool) -> Self {
        let yard = Self { server: Emulator::alone().unwrap() };
        yard.template("CreateLaunchTemplate");
        let size = desired.to_string();
        yard.did(
            "CreateAutoScalingGroup",
            &[
                ("MinSize", "0"),
                ("MaxSize", "10"),
                ("DesiredCapacity", &size),
                ("AvailabilityZones.member.1", "us-east-1a"),
                ("LaunchTemplate.LaunchTemplateName", "worker"),
                ("LaunchTemplate.Version", "$Latest"),
            ],
        );
        if hook {
            yard.hook("drain", "300");
        }
        yard
    }
    fn template(&self, action: &str) {
        let form = [
            ("Action", action),
            ("LaunchTemplateName", "worker"),
            ("LaunchTemplateData.ImageId", "ami-12c6146b"),
            ("LaunchTemplateData.InstanceType", "t3.small"),
        ];
        assert_eq!(self.server.query(OPERATOR, "ec2", &form).unwrap().0, 200);
    }
    fn hook(&self, name: &str, timeout: &str) {
        let target = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:hooks");
        self.did(
            "PutLifecycleHook",
            &[
                ("LifecycleHookName", name),
                ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
                ("HeartbeatTimeout", timeout),
                ("NotificationTargetARN", &target),
                ("RoleARN", "arn:aws:iam::123456789012:role/hooks"),
            ],
        );
    }
    fn call(&self, action: &str, form: &[(&str, &str)]) -> (u16, String) {
        let mut whole = vec![("Action", action)];
        if !action.starts_with("Terminate") {
            whole.push(("AutoScalingGroupName", GROUP));
        }
        whole.extend_from_slice(form);
        self.server.query(OPERATOR, "autoscaling", &whole).unwrap()
    }
    fn did(&self, action: &str, form: &[(&str, &str)]) -> String {
        let (status, text) = self.call(action, form);
        assert_eq!(status, 200, "{action} {form:?}: {text}");
        text
    }
    fn refused(&self, action: &str, form: &[(&str, &str)]) -> String {
        let (status, text) = self.call(action, form);
        assert_eq!(status, 400, "{action} {form:?}: {text}");
        text
    }
    fn size(&self, desired: u32) {
        self.did("SetDesiredCapacity", &[("DesiredCapacity", &desired.to_string())]);
    }
    fn end(&self, instance: &str, decrement: bool) {
        let decrement = decrement.to_string();
        let form = [("InstanceId", instance), ("ShouldDecrementDesiredCapacity", &*decrement)];
        self.did("TerminateInstanceInAutoScalingGroup", &form);
    }
    fn by_hand(&self, instance: &str) {
        let form = [("Action", "TerminateInstances"), ("InstanceId.1", instance)];
        assert_eq!(self.server.query(OPERATOR, "ec2", &form).unwrap().0, 200);
    }
    fn wait(&self, action: &str, hook: &str, instance: &str) -> (u16, String) {
        let mut form = vec![("LifecycleHookName", hook), ("InstanceId", instance)];
        if action == "CompleteLifecycleAction" {
            form.push(("LifecycleActionResult", "CONTINUE"));
        }
        self.call(action, &form)
    }
    fn complete(&self, instance: &str) -> u16 {
        self.wait("CompleteLifecycleAction", "drain", instance).0
    }
    fn beat(&self, instance: &str) -> u16 {
        self.wait("RecordLifecycleActionHeartbeat", "drain", instance).0
    }
    fn pass(&self, ms: u64) {
        self.server.pass_fleet_ms(ms).unwrap();
    }
    fn desired(&self) -> u32 {
        self.server.standing(GROUP).unwrap().desired
    }
    fn at(&self, state: &str) -> Vec<String> {
        let standing = self.server.standing(GROUP).unwrap().instances.into_iter();
        standing.filter(|(_, at)| at == state).map(|(id, _)| id).collect()
    }
    fn ends(&self) -> Vec<(String, Why, Hook)> {
        let ends = self.server.ends(GROUP).unwrap().into_iter();
        ends.map(|end| (end.instance, end.why, end.hook)).collect()
    }
    fn protect(&self, ids: &[String]) {
        let named: Vec<String> =
            (1..=ids.len()).map(|n| format!("InstanceIds.member.{n}")).collect();
        let mut form = vec![("ProtectedFromScaleIn", "true")];
        form.extend(named.iter().zip(ids).map(|(name, id)| (name.as_str(), id.as_str())));
        self.did("SetInstanceProtection", &form);
    }
    fn refresh(&self, healthy: &str, protected: &str) {
        self.did(
            "StartInstanceRefresh",
            &[
                ("Preferences.MinHealthyPercentage", healthy),
                ("Preferences.ScaleInProtectedInstances", protected),
            ],
        );
    }
    fn refresh_is(&self, status: &str) -> bool {
        let text = self.did("DescribeInstanceRefreshes", &[]);
        text.contains(&format!("<Status>{status}</Status>"))
    }
}

#[test]
fn machines_boot() {
    let yard = Yard::with(0, false);
    yard.server.set_boot_ms(60_000).unwrap();
    yard.size(2);
    assert_eq!((yard.at("Pending").len(), yard.at("InService").len()), (2, 0));
    yard.pass(59_000);
    assert_eq!(yard.at("InService").len(), 0);
    yard.pass(1_500);
    assert_eq!((yard.at("Pending").len(), yard.at("InService").len()), (0, 2));
    for (size, says) in [("11", "above max"), ("-1", "below min")] {
        let text = yard.refused("SetDesiredCapacity", &[("DesiredCapacity", size)]);
        assert!(text.contains("ValidationError") && text.contains(says), "{text}");
    }
    assert_eq!(yard.desired(), 2);
}

/// Whoever lets a machine go, the hook holds it, and what goes is replaced if it should be.
#[test]
fn a_hook_holds_every_end() {
    for (why, desired) in
        [(Why::User, 1), (Why::ScaleIn, 1), (Why::Unhealthy, 2), (Why::Ec2, 2), (Why::Refresh, 2)]
    {
        let yard = Yard::with(2, true);
        let before = yard.at("InService");
        match why {
            Why::User => yard.end(&before[0], true),
            Why::ScaleIn => yard.size(1),
            Why::Unhealthy => {
                let form = [("InstanceId", &*before[0]), ("HealthStatus", "Unhealthy")];
                yard.did("SetInstanceHealth", &form);
                yard.pass(0);
            }
            Why::Ec2 => yard.by_hand(&before[0]),
            Why::Refresh => {
                yard.refresh("50", "Refresh");
                yard.pass(0);
            }
        }
        assert_eq!(yard.desired(), desired, "{why:?}");
        let held = yard.at("Terminating:Wait");
        assert_eq!((held.len(), yard.ends()), (1, vec![]), "{why:?}");
        assert_eq!(yard.at("InService").len(), usize::try_from(desired).unwrap(), "{why:?}");
        assert_eq!(yard.complete(&held[0]), 200, "{why:?}");
        assert_eq!(yard.ends(), [(held[0].clone(), why, Hook::Completed)]);
        assert_eq!(yard.complete(&held[0]), 400, "{why:?}: once");
    }
}

#[test]
fn waits_end() {
    let yard = Yard::with(3, true);
    let machines = yard.at("InService");
    for machine in &machines {
        yard.end(machine, true);
    }
    // A heartbeat puts one off; nobody speaks for the second; a second hook holds the third.
    yard.pass(200_000);
    assert_eq!(yard.beat(&machines[0]), 200);
    yard.pass(200_000);
    let lapsed = yard.ends();
    assert_eq!(lapsed.len(), 2);
    assert!(lapsed.iter().all(|(_, why, hook)| (*why, *hook) == (Why::User, Hook::Lapsed)));
    assert_eq!(yard.at("Terminating:Wait"), machines[..1]);
    // A hundred timeouts bound it, whatever the heartbeats.
    for _ in 0..105 {
        yard.beat(&machines[0]);
        yard.pass(290_000);
    }
    assert_eq!(yard.at("Terminating:Wait").len(), 0);
    assert_eq!(yard.beat(&machines[0]), 400);
}

#[test]
fn two_hooks_hold_together() {
    let yard = Yard::with(1, true);
    yard.hook("logs", "60");
    let machine = yard.at("InService").remove(0);
    yard.end(&machine, true);
    assert_eq!(yard.complete(&machine), 200);
    assert_eq!(yard.at("Terminating:Wait").len(), 1, "the other holds it");
    yard.pass(61_000);
    assert_eq!(yard.ends().len(), 1);
}

#[test]
fn hooks_tell_their_queue() {
    let yard = Yard::with(1, false);
    let made = [("Action", "CreateQueue"), ("QueueName", "hooks"), ("Version", "2012-11-05")];
    assert_eq!(yard.server.query(OPERATOR, "sqs", &made).unwrap().0, 200);
    yard.hook("drain", "300");
    let machine = yard.at("InService").remove(0);
    yard.end(&machine, true);
    let credential = format!("Credential={OPERATOR}/20260101/{REGION}/sqs/aws4_request");
    let read = ureq::post(yard.server.endpoint())
        .header("x-amz-target", "AmazonSQS.ReceiveMessage")
        .header("content-type", "application/x-amz-json-1.0")
        .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, Signature=0"))
        .send(format!(
            r#"{{"QueueUrl":"{}","MaxNumberOfMessages":10}}"#,
            yard.server.queue_url_prefix("hooks")
        ));
    let text = read.unwrap().body_mut().read_to_string().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut heard = Vec::new();
    for message in answer["Messages"].as_array().unwrap() {
        let body = message["Body"].as_str().unwrap();
        for says in ["AccountId", "RequestId", "Service", "Time"] {
            assert!(body.contains(&format!("\"{says}\": \"")), "{says} is not in {body}");
        }
        heard.push(drain::read(body.as_bytes(), &[GROUP]).unwrap());
    }
    let [Message::Test, Message::Terminating(notice)] = heard.as_slice() else {
        panic!("{heard:?}")
    };
    assert_eq!((notice.instance.as_str(), notice.hook.as_str()), (machine.as_str(), "drain"));
    // Its token names the wait.
    let wrong = [
        ("LifecycleHookName", "drain"),
        ("LifecycleActionToken", "5d8b4a3e-0000-4000-8000-000000000000"),
        ("LifecycleActionResult", "CONTINUE"),
    ];
    let text = yard.refused("CompleteLifecycleAction", &wrong);
    assert!(text.contains("No active Lifecycle Action found"), "{text}");
    let right = [wrong[0], ("LifecycleActionToken", &*notice.token), wrong[2]];
    yard.did("CompleteLifecycleAction", &right);
    assert_eq!(yard.ends(), [(machine, Why::User, Hook::Completed)]);
}

#[test]
fn protection_binds_the_group_and_nobody_else() {
    let yard = Yard::with(3, false);
    let machines = yard.at("InService");
    yard.protect(&machines[..2]);
    yard.size(0);
    assert_eq!((yard.desired(), yard.at("InService")), (0, machines[..2].to_vec()));
    yard.end(&machines[0], false);
    yard.by_hand(&machines[1]);
    assert_eq!(yard.at("InService").len(), 0);
    let whys: Vec<Why> = yard.ends().into_iter().map(|(_, why, _)| why).collect();
    assert_eq!(whys, [Why::ScaleIn, Why::User, Why::Ec2]);
    let one = [("ProtectedFromScaleIn", "true"), ("InstanceIds.member.1", &*machines[0])];
    assert!(yard.refused("SetInstanceProtection", &one).contains("is not part of"));
}

#[test]
fn launches_fail_as_told() {
    let yard = Yard::with(1, false);
    let code = "InsufficientInstanceCapacity";
    let failing = |times, capacity| Failing { code: code.to_owned(), times, capacity };
    yard.server.fail_launches(GROUP, Some(&failing(None, Some(2)))).unwrap();
    yard.size(4);
    for _ in 0..2 {
        yard.pass(60_000);
    }
    assert_eq!((yard.desired(), yard.at("InService").len()), (4, 2));
    let told = yard.did("DescribeScalingActivities", &[]);
    let failed = told.matches("<StatusCode>Failed</StatusCode>").count();
    assert!(failed >= 3 && told.contains(code), "{told}");
    yard.server.fail_launches(GROUP, None).unwrap();
    yard.pass(60_000);
    assert_eq!(yard.at("InService").len(), 4);
    let last = yard.did("DescribeScalingActivities", &[("MaxRecords", "1")]);
    assert!(last.contains("Successful") && last.contains("<NextToken>1</NextToken>"), "{last}");
}

#[test]
fn a_refresh_replaces_one_after_another() {
    let yard = Yard::with(4, true);
    let before = yard.at("InService");
    yard.template("CreateLaunchTemplateVersion");
    yard.server.set_boot_ms(30_000).unwrap();
    yard.refresh("75", "Refresh");
    for n in 1..=4 {
        yard.pass(100);
        let held = yard.at("Terminating:Wait");
        assert_eq!(held.len(), 1, "machine {n}");
        assert_eq!(yard.complete(&held[0]), 200);
        yard.pass(100);
        assert_eq!(yard.at("Terminating:Wait").len(), 0, "not before the new one serves");
        yard.pass(31_000);
    }
    yard.pass(0);
    assert!(yard.refresh_is("Successful"));
    let after = yard.at("InService");
    assert!(after.len() == 4 && !after.iter().any(|id| before.contains(id)), "{after:?}");
    let text = yard.did("DescribeAutoScalingGroups", &[]);
    assert!(text.contains("<Version>2</Version>") && !text.contains("<Version>1</Version>"));
}

#[test]
fn a_refresh_heeds_protection_as_it_is_told_to() {
    for (way, replaced, status) in
        [("Refresh", 2, "Successful"), ("Ignore", 1, "Successful"), ("Wait", 1, "Failed")]
    {
        let yard = Yard::with(2, false);
        yard.protect(&yard.at("InService")[..1]);
        yard.refresh("50", way);
        for _ in 0..4 {
            yard.pass(0);
        }
        assert_eq!(yard.ends().len(), replaced, "{way}");
        if status == "Failed" {
            assert!(yard.refresh_is("InProgress"));
            assert!(
                yard.refused("StartInstanceRefresh", &[]).contains("InstanceRefreshInProgress")
            );
        }
        yard.pass(3_700_000);
        assert!(yard.refresh_is(status), "{way}");
    }
}

#[test]
fn detaching_passes_hooks_by() {
    let yard = Yard::with(2, true);
    let machine = yard.at("InService").remove(0);
    let form = [("InstanceIds.member.1", &*machine), ("ShouldDecrementDesiredCapacity", "true")];
    yard.did("DetachInstances", &form);
    assert_eq!((yard.desired(), yard.at("InService").len(), yard.ends().len()), (1, 1, 0));
    assert!(yard.refused("DetachInstances", &form).contains("is not part of"));
    assert_eq!(yard.server.standing(GROUP).unwrap().detached.len(), 1);
    yard.by_hand(&machine);
    assert_eq!(yard.ends(), [(machine, Why::Ec2, Hook::None)]);
    assert_eq!(yard.server.standing(GROUP).unwrap().detached, Vec::<String>::new());
}

#[test]
fn a_role_allows_what_it_lists() {
    let yard = Yard::with(1, false);
    let listed: &[&str] = &["autoscaling:DescribeAutoScalingGroups"];
    yard.server.set_roles(&[("fn-guest", listed)]).unwrap();
    let machine = yard.at("InService").remove(0);
    for (caller, service, form, status, says) in [
        ("fn-guest", "autoscaling", vec![("Action", "DescribeAutoScalingGroups")], 200, "workers"),
        ("fn-other", "ec2", vec![("Action", "DescribeInstances")], 200, &*machine),
        ("fn-guest", "ec2", vec![("Action", "DescribeInstances")], 403, "UnauthorizedOperation"),
        (
            "fn-guest",
            "autoscaling",
            vec![("Action", "SetDesiredCapacity"), ("AutoScalingGroupName", GROUP)],
            403,
            "is not authorized to perform: autoscaling:SetDesiredCapacity",
        ),
    ] {
        let (seen, text) = yard.server.query(caller, service, &form).unwrap();
        assert_eq!((seen, text.contains(says)), (status, true), "{form:?} {text}");
    }
    let denied = yard.server.calls().unwrap().into_iter().filter(|call| call.status == 403);
    assert_eq!(
        denied.map(|call| call.action).collect::<Vec<_>>(),
        ["DescribeInstances", "SetDesiredCapacity"]
    );
}

/// Without anybody's asking: groups go on by themselves.
#[test]
fn time_passes_by_itself() {
    let yard = Yard::with(0, false);
    yard.server.set_boot_ms(300).unwrap();
    yard.size(1);
    let limit = Instant::now() + Duration::from_secs(60);
    while yard.at("InService").is_empty() {
        assert!(Instant::now() < limit, "it does not boot");
        std::thread::sleep(Duration::from_millis(20));
    }
}
