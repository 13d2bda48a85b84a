//! What the autoscaler is told. As a guest: exactly what Spacelift's own is told.
use serde_json::Value;
use std::str::FromStr;
use windlass_core::fleet::{IdleFrom, Policy};
use windlass_core::time::MINUTE_MS;
use windlass_lambda::fleet::{Fleet, Workers};
use windlass_lambda::{Configured, Vars, settings};

const MAX_CREATE: &str = "AUTOSCALING_MAX_CREATE";
const MAX_KILL: &str = "AUTOSCALING_MAX_KILL";
const DELAY: &str = "AUTOSCALING_SCALE_DOWN_DELAY";
const IDLE_TIME: &str = "AUTOSCALING_SCALE_DOWN_DELAY_USE_IDLE_TIME";
const SANITY: &str = "AUTOSCALING_CAPACITY_SANITY_CHECK";
const UTILISATION: &str = "AUTOSCALING_TARGET_UTILIZATION_PERCENT";
const SLOTS: &str = "WINDLASS_SLOTS";
const POLICY: &str = "WINDLASS_FLEET_POLICY";

/// Parts of a policy that mean nothing where nothing is remembered.
const REMEMBERED: [&str; 4] =
    ["scale_out_cooldown_ms", "scale_in_cooldown_ms", "boot_failures_max", "implausible_percent"];

#[derive(Clone, Debug)]
pub struct Config {
    pub fleet: Fleet,
    pub policy: Policy,
    /// Settings that were given and change nothing here: told once, at the start.
    pub idle_settings: Vec<&'static str>,
}

impl Configured for Config {
    const VARS: &'static [&'static str] = &[
        SANITY,
        "AUTOSCALING_GROUP_ARN",
        MAX_CREATE,
        MAX_KILL,
        "AUTOSCALING_REGION",
        DELAY,
        IDLE_TIME,
        UTILISATION,
        "SPACELIFT_API_KEY_ENDPOINT",
        "SPACELIFT_API_KEY_ID",
        "SPACELIFT_API_KEY_SECRET_NAME",
        "SPACELIFT_CA_BUNDLE",
        "SPACELIFT_CA_BUNDLE_SECRET_ARN",
        "SPACELIFT_WORKER_POOL_ID",
        settings::BUCKET,
        POLICY,
        settings::LOG,
        "WINDLASS_POOL",
        SLOTS,
    ];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        let fleet = Fleet::read(vars);
        let mut policy = if fleet.is_guest() { spacelifts_own() } else { Policy::default() };
        set(vars, MAX_CREATE, 0..=u32::MAX, |n| policy.step_up_max = n);
        set(vars, MAX_KILL, 0..=u32::MAX, |n| policy.step_down_max = n);
        set(vars, DELAY, 0..=u32::MAX, |n| policy.idle_delay_ms = u64::from(n) * MINUTE_MS);
        set(vars, UTILISATION, 1..=100, |n| policy.utilisation_percent = n);
        match vars.optional(IDLE_TIME).as_deref() {
            None => {}
            Some("true" | "1" | "t" | "TRUE" | "True" | "T") => {
                policy.idle_from = IdleFrom::LastRunEnd
            }
            Some("false" | "0" | "f" | "FALSE" | "False" | "F") => {
                policy.idle_from = IdleFrom::Registration;
            }
            Some(_) => vars.problem(format!("{IDLE_TIME} is neither true nor false")),
        }
        let mut idle_settings = vec![];
        set(vars, SANITY, 0..=u32::MAX, |_| idle_settings.push(SANITY));
        let spacelift = matches!(fleet.workers, Workers::Spacelift(_));
        let mut slots = 1;
        set(vars, SLOTS, 1..=u32::MAX, |n| slots = n);
        if spacelift && slots > 1 {
            vars.problem(format!("{SLOTS}: a worker of Spacelift's has one run at a time"));
        }
        policy.slots_per_instance = slots;
        if let Some(text) = vars.optional(POLICY) {
            match merged(&policy, &text, fleet.is_guest()) {
                Ok(merged) => policy = merged,
                Err(why) => vars.problem(format!("{POLICY}: {why}")),
            }
        }
        Self { fleet, policy, idle_settings }
    }
}

/// What Spacelift's autoscaler does if nothing is said.
fn spacelifts_own() -> Policy {
    Policy {
        step_up_max: 1,
        step_down_max: 1,
        idle_delay_ms: 0,
        idle_from: IdleFrom::Registration,
        ..Policy::default()
    }
}

fn set<N: FromStr + PartialOrd + std::fmt::Display>(
    vars: &mut Vars<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<N>,
    then: impl FnOnce(N),
) {
    let Some(text) = vars.optional(name) else { return };
    match text.parse::<N>() {
        Ok(n) if range.contains(&n) => then(n),
        _ => {
            let (from, to) = (range.start(), range.end());
            vars.problem(format!("{name} is not a whole number from {from} to {to}"));
        }
    }
}

/// The policy with what a JSON object says of it. It goes before all other settings.
fn merged(policy: &Policy, text: &str, guest: bool) -> Result<Policy, String> {
    let said: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(said) = said else { return Err("not a JSON object".to_owned()) };
    let whole = serde_json::to_value(policy).map_err(|error| error.to_string())?;
    let Value::Object(mut whole) = whole else { return Err("not a policy".to_owned()) };
    for (name, value) in said {
        if !whole.contains_key(&name) {
            return Err(format!("there is no setting {name}"));
        }
        if guest && REMEMBERED.contains(&name.as_str()) {
            return Err(format!("{name} needs a store: set {}", settings::BUCKET));
        }
        whole.insert(name, value);
    }
    serde_json::from_value(Value::Object(whole)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_lambda::{asked, read_from};

    const ARN: &str =
        "arn:aws:autoscaling:eu-central-1:1234:autoScalingGroup:*:autoScalingGroupName/workers";
    const GUEST: [(&str, &str); 6] = [
        ("AUTOSCALING_GROUP_ARN", ARN),
        ("AUTOSCALING_REGION", "eu-central-1"),
        ("SPACELIFT_API_KEY_ENDPOINT", "https://you.app.spacelift.io"),
        ("SPACELIFT_API_KEY_ID", "01K"),
        ("SPACELIFT_API_KEY_SECRET_NAME", "/pool/key"),
        ("SPACELIFT_WORKER_POOL_ID", "01P"),
    ];
    const FULL: [(&str, &str); 3] =
        [("AUTOSCALING_GROUP_ARN", ARN), ("WINDLASS_BUCKET", "b"), ("WINDLASS_POOL", "default")];

    fn read(base: &[(&str, &str)], more: &[(&str, &str)]) -> Result<Config, String> {
        read_from::<Config>(&[base, more].concat()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn spacelifts_variables_mean_what_they_mean_there() {
        let alone = read(&GUEST, &[]).unwrap();
        assert_eq!(alone.policy, spacelifts_own());
        let said = read(
            &GUEST,
            &[
                (MAX_CREATE, "7"),
                (MAX_KILL, "3"),
                (DELAY, "15"),
                (IDLE_TIME, "true"),
                (SANITY, "10"),
                (UTILISATION, "80"),
            ],
        )
        .unwrap();
        let expect = Policy {
            step_up_max: 7,
            step_down_max: 3,
            idle_delay_ms: 15 * MINUTE_MS,
            idle_from: IdleFrom::LastRunEnd,
            utilisation_percent: 80,
            ..Policy::default()
        };
        assert_eq!((said.policy, said.idle_settings), (expect, vec![SANITY]));
        // What its own autoscaler takes for never.
        let never = read(&GUEST, &[(MAX_CREATE, "0"), (MAX_KILL, "0")]).unwrap().policy;
        assert_eq!((never.step_up_max, never.step_down_max), (0, 0));
    }

    /// What Spacelift's module sets, by release, and what its users may have it set: from v7.0 on
    /// `env_vars` and `secret_env_var_arns` reach workers and functions alike. What is not known here is
    /// another's, and stops nothing.
    /// <https://github.com/spacelift-io/terraform-aws-spacelift-workerpool-on-ec2/tree/main/docs/upgrade>
    #[test]
    fn every_release_of_spacelifts_module_is_understood() {
        let ca = "arn:aws:secretsmanager:eu-central-1:1234:secret:sp5ft-01jpool-unified-secret-x";
        let steps = [(MAX_CREATE, "1"), (MAX_KILL, "1")];
        let token = "arn:aws:secretsmanager:eu-central-1:1234:secret:pool-env-SPACELIFT_TOKEN-x";
        let bundle = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
        #[rustfmt::skip]
        let table: [(&str, &[(&str, &str)]); 6] = [
            ("before a delay was", &[]),
            ("autoscaler_extra_env, before v7.0", &[
                ("LOG_LEVEL", "info"), (UTILISATION, "90"), (IDLE_TIME, "true"),
            ]),
            ("autoscaling_configuration.ca_bundle, before v7.1", &[("SPACELIFT_CA_BUNDLE", bundle)]),
            ("env_vars and secret_env_var_arns, from v7.0", &[
                ("LOG_LEVEL", "info"), ("SPACELIFT_TOKEN_SECRET_ARN", token), (DELAY, "5"),
            ]),
            ("ca_bundle, from v7.1", &[("SPACELIFT_CA_BUNDLE_SECRET_ARN", ca), (DELAY, "5")]),
            ("all that v9.0 has for workers and the other function too", &[
                ("SPACELIFT_CA_BUNDLE_SECRET_ARN", ca), ("SPACELIFT_CA_BUNDLE", bundle),
                ("SPACELIFT_WORKER_COMMS_PROTOCOL", "poll"),
                ("SPACELIFT_WORKER_COMMS_URL", "https://app.spacelift.io"),
                ("SPACELIFT_POOL_PRIVATE_KEY_SECRET_ARN", token), ("LIFECYCLE_HOOK_TIMEOUT", "300"),
                ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/1234/sp5ft"),
            ]),
        ];
        for (release, more) in table {
            let config = read(&GUEST, &[&steps, more].concat());
            let config = config.unwrap_or_else(|why| panic!("{release}: {why}"));
            assert!(config.fleet.is_guest(), "{release}");
            assert_eq!(
                (config.policy.step_up_max, config.policy.step_down_max),
                (1, 1),
                "{release}"
            );
        }
        // The same way leads to settings that only ours has.
        let warm = (POLICY, r#"{"warm":{"always":2}}"#);
        let policy = read(&GUEST, &[&steps[..], &[warm]].concat()).unwrap().policy;
        assert_eq!(policy.warm, windlass_core::fleet::Warm::Always(2));
    }

    #[test]
    fn ours_are_ours() {
        assert_eq!(read(&FULL, &[]).unwrap().policy, Policy::default());
        let policy = r#"{"warm":{"always":2},"scale_in_cooldown_ms":60000}"#;
        let said = read(&FULL, &[(SLOTS, "4"), (DELAY, "3"), (POLICY, policy)]).unwrap().policy;
        let expect = Policy {
            slots_per_instance: 4,
            idle_delay_ms: 3 * MINUTE_MS,
            warm: windlass_core::fleet::Warm::Always(2),
            scale_in_cooldown_ms: 60_000,
            ..Policy::default()
        };
        assert_eq!(said, expect);
    }

    #[test]
    fn what_can_not_be_is_refused_at_once() {
        let message = read(
            &GUEST,
            &[
                (MAX_CREATE, "many"),
                (MAX_KILL, "-1"),
                (UTILISATION, "101"),
                (IDLE_TIME, "perhaps"),
                (SLOTS, "2"),
                (POLICY, r#"{"scale_in_cooldown_ms":1}"#),
            ],
        )
        .unwrap_err();
        for part in [MAX_CREATE, MAX_KILL, UTILISATION, IDLE_TIME, "one run at a time", "a store"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        for (policy, says) in [("[]", "object"), (r#"{"step":1}"#, "no setting"), ("{", "EOF")] {
            let message = read(&FULL, &[(POLICY, policy)]).unwrap_err();
            assert!(message.contains(says), "{policy}: {message}");
        }
    }

    #[test]
    fn every_variable_is_named() {
        let mut named = Config::VARS.to_vec();
        named.sort_unstable();
        assert_eq!(asked::<Config>(), named);
    }
}
