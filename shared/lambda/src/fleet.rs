//! What both functions of the fleet are told in the same words. Where Spacelift's own functions have
//! a name for it, it is that name.
use crate::settings;
use crate::vars::Vars;
use windlass_core::id::PoolId;

pub const GROUP_ARN: &str = "AUTOSCALING_GROUP_ARN";
pub const REGION: &str = "AUTOSCALING_REGION";
pub const POOL: &str = "WINDLASS_POOL";
pub const WORKER_POOL: &str = "SPACELIFT_WORKER_POOL_ID";
pub const ENDPOINT: &str = "SPACELIFT_API_KEY_ENDPOINT";
pub const KEY_ID: &str = "SPACELIFT_API_KEY_ID";
pub const KEY_SECRET: &str = "SPACELIFT_API_KEY_SECRET_NAME";
pub const CA_BUNDLE: &str = "SPACELIFT_CA_BUNDLE";
pub const CA_BUNDLE_SECRET: &str = "SPACELIFT_CA_BUNDLE_SECRET_ARN";

/// Every variable that [`Fleet::read`] asks for.
pub const VARS: [&str; 10] = [
    GROUP_ARN,
    REGION,
    CA_BUNDLE,
    CA_BUNDLE_SECRET,
    ENDPOINT,
    KEY_ID,
    KEY_SECRET,
    WORKER_POOL,
    settings::BUCKET,
    POOL,
];

/// One pool: its group, its workers, and where ticks remember what they did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    pub group: GroupName,
    pub pool: PoolId,
    pub workers: Workers,
    /// None: as a guest in the official Spacelift module, which gives no store.
    pub bucket: Option<String>,
}

/// An Auto Scaling group, as its ARN names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupName {
    pub name: String,
    pub region: String,
}

/// Who keeps the pool's workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// Their records lie in the bucket.
    #[default]
    Windlass,
    Spacelift(SpaceliftAccess),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceliftAccess {
    pub endpoint: String,
    pub key_id: String,
    /// A parameter of the Parameter Store, or the ARN of a secret.
    pub key_secret: String,
    pub ca: Option<CaBundle>,
}

/// Authorities to trust besides the usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaBundle {
    /// PEM, or that in Base64.
    Text(String),
    /// The ARN of the secret that holds the same.
    Secret(String),
}

impl Fleet {
    pub fn read(vars: &mut Vars<'_>) -> Self {
        let group = vars.parsed(GROUP_ARN, GroupName::parse);
        if let Some(region) = vars.optional(REGION)
            && !group.region.is_empty()
            && region != group.region
        {
            vars.problem(format!("{GROUP_ARN} is of another region than {REGION} says"));
        }
        let bucket = vars.optional(settings::BUCKET);
        let (pool, worker_pool) = (vars.optional(POOL), vars.optional(WORKER_POOL));
        let access = spacelift(vars, worker_pool.is_some());
        let workers =
            worker_pool.as_ref().map_or(Workers::Windlass, |_| Workers::Spacelift(access));
        match (&bucket, &pool, &worker_pool) {
            (None, _, None) => vars.problem(format!(
                "set {} and {POOL} for a pool of Windlass's, or {WORKER_POOL} for one of Spacelift's",
                settings::BUCKET
            )),
            (Some(_), None, None) => {
                vars.problem(format!("set {POOL}, or {WORKER_POOL}: whose workers are these?"));
            }
            (_, Some(ours), Some(theirs)) if ours != theirs => {
                vars.problem(format!("{POOL} and {WORKER_POOL} name different pools"));
            }
            _ => {}
        }
        let pool = PoolId(worker_pool.or(pool).unwrap_or_default());
        Self { group, pool, workers, bucket }
    }

    /// Nothing is remembered from one tick to the next.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.bucket.is_none()
    }
}

impl GroupName {
    /// `arn:PARTITION:autoscaling:REGION:ACCOUNT:autoScalingGroup:UUID:autoScalingGroupName/NAME`.
    fn parse(arn: &str) -> Result<Self, String> {
        let parts: Vec<&str> = arn.splitn(8, ':').collect();
        match parts.as_slice() {
            ["arn", _, "autoscaling", region, _, "autoScalingGroup", _, named] => {
                let name = named.strip_prefix("autoScalingGroupName/").unwrap_or_default();
                if region.is_empty() || name.is_empty() {
                    return Err("an Auto Scaling group's ARN without a region or a name".to_owned());
                }
                Ok(Self { name: name.to_owned(), region: (*region).to_owned() })
            }
            _ => Err("not the ARN of an Auto Scaling group".to_owned()),
        }
    }
}

fn spacelift(vars: &mut Vars<'_>, wanted: bool) -> SpaceliftAccess {
    let (endpoint, key_id) = (vars.optional(ENDPOINT), vars.optional(KEY_ID));
    let key_secret = vars.optional(KEY_SECRET);
    for (name, value) in [(ENDPOINT, &endpoint), (KEY_ID, &key_id), (KEY_SECRET, &key_secret)] {
        match value {
            None if wanted => vars.problem(format!("{name} is not set")),
            Some(_) if !wanted => vars.problem(format!("{name} is set, and {WORKER_POOL} is not")),
            _ => {}
        }
    }
    if endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("https://")) {
        vars.problem(format!("{ENDPOINT}: not an address that starts with https://"));
    }
    if key_secret.as_ref().is_some_and(|name| name.contains(char::is_whitespace)) {
        vars.problem(format!("{KEY_SECRET} is not the name of a parameter or secret"));
    }
    // Spacelift's own takes the secret if both are set.
    let ca = match (vars.optional(CA_BUNDLE), vars.optional(CA_BUNDLE_SECRET)) {
        (None, None) => None,
        (Some(bundle), None) => Some(CaBundle::Text(bundle)),
        (_, Some(arn)) => {
            if !(arn.starts_with("arn:") && arn.contains(":secretsmanager:")) {
                vars.problem(format!("{CA_BUNDLE_SECRET} is not the ARN of a secret"));
            }
            Some(CaBundle::Secret(arn))
        }
    };
    SpaceliftAccess {
        endpoint: endpoint.unwrap_or_default(),
        key_id: key_id.unwrap_or_default(),
        key_secret: key_secret.unwrap_or_default(),
        ca,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::{Configured, asked, read_from};

    impl Configured for Fleet {
        const VARS: &'static [&'static str] = &VARS;
        fn read(vars: &mut Vars<'_>) -> Self {
            Fleet::read(vars)
        }
    }

    const ARN: &str =
        "arn:aws:autoscaling:eu-central-1:1234:autoScalingGroup:*:autoScalingGroupName/a:b/c";
    const SPACELIFT: [(&str, &str); 4] = [
        (ENDPOINT, "https://you.app.spacelift.io"),
        (KEY_ID, "01K"),
        (KEY_SECRET, "/pool/key"),
        (WORKER_POOL, "01P"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Fleet, String> {
        let table = [&[(GROUP_ARN, ARN)], more].concat();
        read_from::<Fleet>(&table).map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_is_set_decides_the_mode() {
        let group = GroupName { name: "a:b/c".into(), region: "eu-central-1".into() };
        let ours = read(&[("WINDLASS_BUCKET", "b"), (POOL, "default")]).unwrap();
        let expect = Fleet {
            group: group.clone(),
            pool: "default".into(),
            workers: Workers::Windlass,
            bucket: Some("b".into()),
        };
        assert_eq!((ours.is_guest(), ours), (false, expect));
        let guest = read(&SPACELIFT).unwrap();
        assert!(guest.is_guest() && matches!(&guest.workers, Workers::Spacelift(_)));
        assert_eq!((guest.pool.as_str(), guest.group), ("01P", group));
        let full = [&SPACELIFT[..], &[("WINDLASS_BUCKET", "b"), (POOL, "01P")]].concat();
        assert!(!read(&full).unwrap().is_guest());
    }

    #[test]
    fn authorities_are_told_in_either_way_and_the_secret_goes_first() {
        let arn = "arn:aws:secretsmanager:eu-central-1:1234:secret:pool-unified-secret-AbCdEf";
        let secret = || Some(CaBundle::Secret(arn.to_owned()));
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        let text = |text: &str| Some(CaBundle::Text(text.to_owned()));
        for (bundle, named, expect) in [
            ("", "", None),
            (pem, "", text(pem)),
            ("LS0tLS1CRUdJTg==", "", text("LS0tLS1CRUdJTg==")),
            ("", arn, secret()),
            (pem, arn, secret()),
        ] {
            let set = [(CA_BUNDLE, bundle), (CA_BUNDLE_SECRET, named)];
            let fleet = read(&[&SPACELIFT[..], &set].concat()).unwrap();
            let Workers::Spacelift(access) = fleet.workers else { panic!("whose workers?") };
            assert_eq!(access.ca, expect, "{set:?}");
        }
    }

    #[test]
    fn contradictions_come_in_one_message() {
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let cases: [Case<'_>; 6] = [
            (&[], &["set WINDLASS_BUCKET and WINDLASS_POOL"]),
            (&[("WINDLASS_BUCKET", "b")], &["whose workers"]),
            (
                &[(WORKER_POOL, "01P"), (REGION, "us-east-1")],
                &["another region", "ENDPOINT is not", "KEY_ID is not", "SECRET_NAME is not"],
            ),
            (&[("WINDLASS_BUCKET", "b"), (POOL, "p"), (KEY_ID, "k")], &["KEY_ID is set, and"]),
            (&[("WINDLASS_BUCKET", "b"), (POOL, "p"), (WORKER_POOL, "q")], &["different pools"]),
            (
                &[(WORKER_POOL, "q"), (CA_BUNDLE, "s3cret"), (CA_BUNDLE_SECRET, "arn:x")],
                &["SECRET_ARN is not the ARN of a secret"],
            ),
        ];
        for (set, says) in cases {
            let message = read(set).unwrap_err();
            assert!(says.iter().all(|part| message.contains(part)), "{set:?}: {message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        for arn in [
            "workers",
            "arn:aws:s3:::x",
            "arn:aws:autoscaling::1:autoScalingGroup:*:autoScalingGroupName/",
        ] {
            let message = read_from::<Fleet>(&[(GROUP_ARN, arn)]).unwrap_err().to_string();
            assert!(message.contains("Auto Scaling group"), "{arn}: {message}");
        }
    }

    #[test]
    fn everything_that_is_asked_for_is_named() {
        let mut named = VARS.to_vec();
        named.sort_unstable();
        assert_eq!(asked::<Fleet>(), named);
    }
}
