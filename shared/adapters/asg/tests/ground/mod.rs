//! Groups as a deployment makes them: from a launch template, with the pool's tag, with a hook.
#![allow(unreachable_pub, dead_code, clippy::unwrap_used, reason = "shared by tests")]
use adapter_asg::{Asg, AsgHooks, DRAIN_HOOK as HOOK, POOL_TAG as TAG, PoolTag};
use adapter_aws::Aws;
use async_trait::async_trait;
use emulator::Emulator;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use windlass_core::id::InstanceId;
use windlass_ports::contract::Time;
use windlass_ports::contract::fleet::{Provider, Spec, Stand};

const OPERATOR: &str = "operator";

/// What the adapters call as, and may call.
pub const FULL: (&str, &[&str]) = (
    "fn-full",
    &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:SetInstanceProtection",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:CompleteLifecycleAction",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "ec2:DescribeInstances",
        "ec2:TerminateInstances",
    ],
);
/// The role of Spacelift's own autoscaler before v8.0 of its module, as far as it names these two
/// services: <https://github.com/spacelift-io/ec2-workerpool-autoscaler>
pub const GUEST: (&str, &[&str]) = (
    "fn-guest",
    &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DetachInstances",
        "autoscaling:SetDesiredCapacity",
        "ec2:DescribeInstances",
        "ec2:TerminateInstances",
    ],
);

/// … and from then on, when it shares one with what keeps the hook:
/// <https://github.com/spacelift-io/terraform-aws-spacelift-workerpool-on-ec2/blob/main/lambda_iam.tf>
pub const GUEST_8: (&str, &[&str]) = (
    "fn-guest-8",
    &[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:SetDesiredCapacity",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:CompleteLifecycleAction",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "ec2:DescribeInstances",
    ],
);

pub type Role = (&'static str, &'static [&'static str]);

pub fn aws(server: &Emulator, caller: &str) -> Aws {
    let vars = server.env(caller).into_iter().map(|(name, value)| (name.to_owned(), value));
    Aws::from_vars(&vars.collect()).unwrap()
}

/// The API server's side of the contract.
pub struct Ground {
    pub server: Arc<Emulator>,
    pub role: Role,
    made: AtomicU32,
}

impl Ground {
    pub fn new(role: Role) -> Self {
        let server = Arc::new(Emulator::start().unwrap());
        let ground = Self { server, role, made: AtomicU32::new(0) };
        ground.call(
            "ec2",
            &[
                ("Action", "CreateLaunchTemplate"),
                ("LaunchTemplateName", "worker"),
                ("LaunchTemplateData.ImageId", "ami-12c6146b"),
                ("LaunchTemplateData.InstanceType", "t3.small"),
            ],
        );
        ground.server.set_roles(&[FULL, GUEST, GUEST_8]).unwrap();
        ground
    }

    pub fn call(&self, service: &str, form: &[(&str, &str)]) -> String {
        let (status, text) = self.server.query(OPERATOR, service, form).unwrap();
        assert_eq!(status, 200, "{form:?}: {text}");
        text
    }

    pub fn asg(&self, name: &str) -> Asg {
        let tag = PoolTag { name: TAG.to_owned(), value: name.to_owned() };
        let aws = aws(&self.server, self.role.0);
        if self.role == FULL { Asg::new(&aws, name, tag) } else { Asg::guest(&aws, name, tag) }
    }

    /// As a guest does that is killed before its second call.
    pub fn detach(&self, group: &str, machine: &InstanceId) {
        self.call(
            "autoscaling",
            &[
                ("Action", "DetachInstances"),
                ("AutoScalingGroupName", group),
                ("InstanceIds.member.1", machine.as_str()),
                ("ShouldDecrementDesiredCapacity", "true"),
            ],
        );
    }

    fn make(&self, name: &str, spec: &Spec) {
        let [min, max, desired] = [spec.min, spec.max, spec.desired].map(|n| n.to_string());
        self.call(
            "autoscaling",
            &[
                ("Action", "CreateAutoScalingGroup"),
                ("AutoScalingGroupName", name),
                ("MinSize", &min),
                ("MaxSize", &max),
                ("DesiredCapacity", &desired),
                ("AvailabilityZones.member.1", "us-east-1a"),
                ("LaunchTemplate.LaunchTemplateName", "worker"),
                ("LaunchTemplate.Version", "$Latest"),
                ("Tags.member.1.Key", TAG),
                ("Tags.member.1.Value", name),
                ("Tags.member.1.PropagateAtLaunch", "true"),
            ],
        );
        if let Some(hook_ms) = spec.hook_ms {
            self.call(
                "autoscaling",
                &[
                    ("Action", "PutLifecycleHook"),
                    ("AutoScalingGroupName", name),
                    ("LifecycleHookName", HOOK),
                    ("LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATING"),
                    ("HeartbeatTimeout", &(hook_ms / 1_000).to_string()),
                    ("DefaultResult", "CONTINUE"),
                ],
            );
        }
    }
}

#[async_trait]
impl Provider for Ground {
    async fn group(&self, spec: Spec) -> Stand {
        let name = format!("workers-{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.make(&name, &spec);
        Stand {
            fleet: Arc::new(self.asg(&name)),
            hooks: Arc::new(AsgHooks::new(&aws(&self.server, FULL.0), HOOK)),
            name,
            hook: HOOK.to_owned(),
        }
    }

    async fn settle(&self, _: &Stand) {
        self.server.pass_fleet_ms(0).unwrap();
    }

    async fn stray(&self, stand: &Stand, tagged: bool) -> InstanceId {
        let pool = if tagged { stand.name.as_str() } else { "another" };
        let text = self.call(
            "ec2",
            &[
                ("Action", "RunInstances"),
                ("ImageId", "ami-12c6146b"),
                ("MinCount", "1"),
                ("MaxCount", "1"),
                ("TagSpecification.1.ResourceType", "instance"),
                ("TagSpecification.1.Tag.1.Key", TAG),
                ("TagSpecification.1.Tag.1.Value", pool),
            ],
        );
        let id = text.split_once("<instanceId>").and_then(|(_, rest)| rest.split_once('<'));
        id.unwrap().0.into()
    }
}

/// The groups' time, moved by the test.
pub struct GroupTime(pub Arc<Emulator>);

#[async_trait]
impl Time for GroupTime {
    async fn pass(&self, ms: u64) -> bool {
        self.0.pass_fleet_ms(ms).unwrap();
        true
    }
}
