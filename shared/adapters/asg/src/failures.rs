//! Launches that failed for want of capacity, of what the group tells of its activities.
use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode as Status};

/// How EC2 names that there are no machines to be had, or no more for this account:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
const WANTS: [&str; 13] = [
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "ReservationCapacityExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "Unsupported - Your requested instance type",
    "VcpuLimitExceeded",
    "do not have sufficient",
];

/// What one activity says of launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    Succeeded,
    FailedForWant,
    /// It ended machines, is not over, or failed for another reason: a wrong image is no want.
    SaysNothing,
}

pub(crate) fn launch(activity: &Activity) -> Launch {
    let launches = activity.description().is_some_and(|words| words.starts_with("Launching"));
    let words = activity.status_message().unwrap_or_default();
    match activity.status_code() {
        Some(Status::Successful) if launches => Launch::Succeeded,
        Some(Status::Failed | Status::Cancelled)
            if launches && WANTS.iter().any(|want| words.contains(want)) =>
        {
            Launch::FailedForWant
        }
        _ => Launch::SaysNothing,
    }
}

/// Failures since the last success, of activities from new to old.
pub(crate) fn in_a_row(launches: impl IntoIterator<Item = Launch>) -> u32 {
    let since = launches.into_iter().take_while(|launch| *launch != Launch::Succeeded);
    let failed = since.filter(|launch| *launch == Launch::FailedForWant).count();
    u32::try_from(failed).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Launch::{FailedForWant, SaysNothing, Succeeded};

    #[test]
    fn activities_are_read() {
        for (description, status, words, expected) in [
            ("Launching a new EC2 instance: i-1", Status::Successful, "", Succeeded),
            (
                "Launching a new EC2 instance.  Status Reason: …",
                Status::Failed,
                "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently \
                 do not have sufficient c5.large capacity in the Availability Zone you requested.",
                FailedForWant,
            ),
            (
                "Launching a new EC2 instance",
                Status::Failed,
                "Could not launch Spot Instances. SpotMaxPriceTooLow - Your Spot request price of \
                 0.001 is lower than the minimum required Spot request fulfillment price.",
                FailedForWant,
            ),
            (
                "Launching a new EC2 instance",
                Status::Cancelled,
                "VcpuLimitExceeded - You have requested more vCPU capacity than your current limit",
                FailedForWant,
            ),
            (
                "Launching a new EC2 instance",
                Status::Failed,
                "The image id '[ami-1]' does not exist. Launching EC2 instance failed.",
                SaysNothing,
            ),
            ("Launching a new EC2 instance: i-1", Status::InProgress, "", SaysNothing),
            ("Terminating EC2 instance: i-1", Status::Successful, "", SaysNothing),
        ] {
            let activity = Activity::builder().description(description).status_code(status);
            assert_eq!(launch(&activity.status_message(words).build()), expected, "{words}");
        }
    }

    #[test]
    fn only_what_failed_since_the_last_success_counts() {
        for (launches, expected) in [
            (vec![], 0),
            (vec![FailedForWant, SaysNothing, FailedForWant, Succeeded, FailedForWant], 2),
            (vec![Succeeded, FailedForWant], 0),
            (vec![SaysNothing; 3], 0),
        ] {
            assert_eq!(in_a_row(launches), expected);
        }
    }
}
