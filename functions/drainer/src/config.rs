//! What the drainer is told.
use windlass_core::drain::TIMEOUT_MS_MIN;
use windlass_core::time::SECOND_MS;
use windlass_lambda::fleet::Fleet;
use windlass_lambda::{Configured, Vars, settings};

const HOOK: &str = "WINDLASS_HOOK";
const HOOK_TIMEOUT: &str = "WINDLASS_HOOK_TIMEOUT";
/// AWS's own bound.
const HOOK_TIMEOUT_S_MAX: u64 = 7_200;

#[derive(Clone, Debug)]
pub struct Config {
    pub fleet: Fleet,
    pub bucket: String,
    /// The lifecycle hook's name.
    pub hook: String,
    pub timeout_ms: u64,
}

impl Configured for Config {
    const VARS: &'static [&'static str] = &[
        "AUTOSCALING_GROUP_ARN",
        "AUTOSCALING_REGION",
        "SPACELIFT_API_KEY_ENDPOINT",
        "SPACELIFT_API_KEY_ID",
        "SPACELIFT_API_KEY_SECRET_NAME",
        "SPACELIFT_CA_BUNDLE",
        "SPACELIFT_CA_BUNDLE_SECRET_ARN",
        "SPACELIFT_WORKER_POOL_ID",
        settings::BUCKET,
        HOOK,
        HOOK_TIMEOUT,
        settings::LOG,
        "WINDLASS_POOL",
    ];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        let fleet = Fleet::read(vars);
        let bucket = fleet.bucket.clone().unwrap_or_else(|| {
            vars.problem(format!("{} is not set: drains are remembered there", settings::BUCKET));
            String::new()
        });
        let timeout_ms = vars.parsed(HOOK_TIMEOUT, |text| {
            let min_s = TIMEOUT_MS_MIN / SECOND_MS;
            match text.parse::<u64>() {
                Ok(s) if (min_s..=HOOK_TIMEOUT_S_MAX).contains(&s) => Ok(s * SECOND_MS),
                _ => Err(format!(
                    "not from {min_s} to {HOOK_TIMEOUT_S_MAX} s: a shorter hook is over before a \
                     heartbeat is sure to come"
                )),
            }
        });
        let hook = vars.optional(HOOK).unwrap_or_else(|| adapter_asg::DRAIN_HOOK.to_owned());
        Self { fleet, bucket, hook, timeout_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_lambda::{asked, read_from};

    const ARN: &str =
        "arn:aws:autoscaling:eu-central-1:1234:autoScalingGroup:*:autoScalingGroupName/workers";

    #[test]
    fn a_hook_that_is_too_short_is_refused() {
        for (seconds, expect) in [
            ("180", Some(180_000)),
            ("7200", Some(7_200_000)),
            ("179", None),
            ("7201", None),
            ("", None),
        ] {
            let table = [
                ("AUTOSCALING_GROUP_ARN", ARN),
                ("WINDLASS_BUCKET", "b"),
                ("WINDLASS_POOL", "default"),
                (HOOK_TIMEOUT, seconds),
            ];
            let read = read_from::<Config>(&table).map(|config| config.timeout_ms);
            assert_eq!(read.ok(), expect, "{seconds}");
        }
        let message = read_from::<Config>(&[(HOOK_TIMEOUT, "30")]).unwrap_err().to_string();
        for part in
            ["AUTOSCALING_GROUP_ARN is not set", "WINDLASS_BUCKET is not set", "not from 180"]
        {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn every_variable_is_named() {
        let mut named = Config::VARS.to_vec();
        named.sort_unstable();
        assert_eq!(asked::<Config>(), named);
    }
}
