//! The calls' names as IAM has them, and what AWS says when it refuses one.
use adapter_aws::Failure;

pub(crate) const DESCRIBE: &str = "autoscaling:DescribeAutoScalingGroups";
pub(crate) const ACTIVITIES: &str = "autoscaling:DescribeScalingActivities";
pub(crate) const RESIZE: &str = "autoscaling:SetDesiredCapacity";
pub(crate) const END: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";
pub(crate) const DETACH: &str = "autoscaling:DetachInstances";
pub(crate) const PROTECT: &str = "autoscaling:SetInstanceProtection";
pub(crate) const HEARTBEAT: &str = "autoscaling:RecordLifecycleActionHeartbeat";
pub(crate) const COMPLETE: &str = "autoscaling:CompleteLifecycleAction";

const VALIDATION: [&str; 1] = ["ValidationError"];

/// The only code that Auto Scaling has for whatever can't be done; the sentence tells more.
fn says(failure: &Failure, words: &[&str]) -> bool {
    let told = failure.words().to_ascii_lowercase();
    failure.is(&VALIDATION) && words.iter().any(|word| told.contains(word))
}

/// "No active Lifecycle Action found with instance ID …": the wait is over, or never was.
pub(crate) fn is_no_wait(failure: &Failure) -> bool {
    says(failure, &["no active lifecycle action"])
}

/// The machine left the group, or changed its state, since it was seen there.
pub(crate) fn is_elsewhere(failure: &Failure) -> bool {
    says(failure, &["instance id not found", "is not part of", "is not in "])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        for (code, words, no_wait, elsewhere) in [
            (
                "ValidationError",
                "No active Lifecycle Action found with instance ID i-0123456789abcdef0",
                true,
                false,
            ),
            (
                "ValidationError",
                "Instance Id not found - No managed instance found for instance ID: i-0123456789",
                false,
                true,
            ),
            (
                "ValidationError",
                "The instance i-01 is not part of Auto Scaling group workers.",
                false,
                true,
            ),
            (
                "ValidationError",
                "The instance i-01 is not in InService or EnteringStandby or Standby.",
                false,
                true,
            ),
            ("ValidationError", "AutoScalingGroup name not found - null", false, false),
            ("Throttling", "No active Lifecycle Action found; is not part of", false, false),
        ] {
            let (code, said) = (Some(code.to_owned()), Some(words.to_owned()));
            let failure = Failure::of_answer(400, code, said, None);
            assert_eq!((is_no_wait(&failure), is_elsewhere(&failure)), (no_wait, elsewhere));
        }
    }
}
