//! An Auto Scaling group of the emulator's, as an operator made it: what is asked here is asked in
//! the operator's name.
use emulator::{ACCOUNT, Emulator, End, REGION, Standing};
use std::sync::Arc;
use std::time::Duration;

/// Under this name the operator's calls are recorded.
pub const OPERATOR: &str = "operator";

pub struct Group {
    pub emulator: Arc<Emulator>,
    pub name: String,
}

#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub min: u32,
    pub desired: u32,
    pub max: u32,
}

impl Group {
    /// Its machines have this tag from their launch on.
    #[track_caller]
    pub fn create(emulator: Arc<Emulator>, name: &str, sizes: Sizes, tag: (&str, &str)) -> Self {
        let group = Self { emulator, name: name.to_owned() };
        group.template("CreateLaunchTemplate");
        let Sizes { min, desired, max } = sizes;
        let template = group.template_name();
        group.did(
            "CreateAutoScalingGroup",
            &[
                ("MinSize", &min.to_string()),
                ("DesiredCapacity", &desired.to_string()),
                ("MaxSize", &max.to_string()),
                ("AvailabilityZones.member.1", "us-east-1a"),
                ("LaunchTemplate.LaunchTemplateName", &template),
                ("LaunchTemplate.Version", "$Latest"),
                ("Tags.member.1.ResourceId", name),
                ("Tags.member.1.ResourceType", "auto-scaling-group"),
                ("Tags.member.1.Key", tag.0),
                ("Tags.member.1.Value", tag.1),
                ("Tags.member.1.PropagateAtLaunch", "true"),
            ],
        );
        group
    }

    fn template_name(&self) -> String {
        format!("{}-template", self.name)
    }

    /// `CreateLaunchTemplate`, or `CreateLaunchTemplateVersion` for a refresh.
    #[track_caller]
    pub fn template(&self, action: &str) {
        let name = self.template_name();
        let form = [
            ("LaunchTemplateName", name.as_str()),
            ("LaunchTemplateData.ImageId", "ami-12c6146b"),
            ("LaunchTemplateData.InstanceType", "t3.small"),
        ];
        self.ec2(action, &form);
    }

    pub fn arn(&self) -> String {
        let name = &self.name;
        format!(
            "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:\
             2cd2fb3c-0000-4000-8000-000000000001:autoScalingGroupName/{name}"
        )
    }

    /// A call of Auto Scaling's, for this group.
    #[track_caller]
    pub fn did(&self, action: &str, form: &[(&str, &str)]) -> String {
        // This one names a machine, and no group.
        let named = action != "TerminateInstanceInAutoScalingGroup";
        let own = named.then_some(("AutoScalingGroupName", self.name.as_str()));
        let form: Vec<_> = own.into_iter().chain(form.iter().copied()).collect();
        self.asked("autoscaling", action, &form)
    }

    /// A call of EC2's.
    #[track_caller]
    pub fn ec2(&self, action: &str, form: &[(&str, &str)]) -> String {
        self.asked("ec2", action, form)
    }

    #[track_caller]
    fn asked(&self, service: &str, action: &str, form: &[(&str, &str)]) -> String {
        let form: Vec<_> = [("Action", action)].into_iter().chain(form.iter().copied()).collect();
        let (status, text) =
            self.emulator.query(OPERATOR, service, &form).expect("the API server answers");
        assert_eq!(status, 200, "{action} {form:?}: {text}");
        text
    }

    pub fn standing(&self) -> Standing {
        self.emulator.standing(&self.name).expect("the API server answers")
    }

    pub fn desired(&self) -> u32 {
        self.standing().desired
    }

    /// Its machines in this state of AWS's: `InService`, `Terminating:Wait`.
    pub fn at(&self, state: &str) -> Vec<String> {
        let standing = self.standing().instances.into_iter();
        standing.filter(|(_, at)| at == state).map(|(id, _)| id).collect()
    }

    /// Every machine of it that went, in order.
    pub fn ends(&self) -> Vec<End> {
        self.emulator.ends(&self.name).expect("the API server answers")
    }

    /// Machines that went by now.
    pub fn gone(&self) -> Vec<String> {
        self.ends().into_iter().map(|end| end.instance).collect()
    }

    /// Time passes for groups and their machines alone.
    pub fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.emulator.pass_fleet_ms(ms).expect("the API server answers");
    }
}
