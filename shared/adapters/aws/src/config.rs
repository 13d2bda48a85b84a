//! Region, credentials, endpoints, timeouts, retries.
use crate::{Failure, http};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use std::collections::BTreeMap;
use std::time::Duration;

/// A connection that is not there by then will not come: all that we talk to is in one region.
pub const CONNECT_MS: u64 = 2_000;
/// One attempt, from sending to the answer's head. S3's slowest percent of small requests stays
/// far below a second. Uploads and long polls get more, by their size and wait.
pub const ATTEMPT_MS: u64 = 7_000;
/// Attempts per call, the first included. What still fails comes again with its message.
pub const TRIES_MAX: u32 = 3;
/// The first pause between two attempts, before chance shortens it, and the longest. A Lambda
/// function waits with its clock running.
const BACKOFF_MS: u64 = 200;
const BACKOFF_MS_MAX: u64 = 1_000;
/// A body that stands still for this long is given up.
const STALLED_MS: u64 = 10_000;

const ENDPOINT: &str = "AWS_ENDPOINT_URL";

#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// Everything that is wrong with the environment, one sentence each.
    #[error("can't talk to AWS: {}", .0.join("; "))]
    Environment(Vec<String>),
}

/// The client that [`Aws`] uses, for whoever finds the credentials for [`Aws::with_credentials`].
#[must_use]
pub fn http_client() -> SharedHttpClient {
    http::client(connector())
}

fn connector() -> SharedHttpConnector {
    http::connector(Duration::from_millis(CONNECT_MS))
}

/// How to reach AWS. Cheap to copy; all copies share one pool of connections.
#[derive(Clone)]
pub struct Aws {
    region: Region,
    credentials: SharedCredentialsProvider,
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, as they are set.
    endpoints: BTreeMap<String, String>,
    connector: SharedHttpConnector,
    attempt_ms: u64,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// From `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`: what Lambda sets,
    /// and what tests set. Root certificates are the system's, or those of `SSL_CERT_FILE`.
    pub fn from_env() -> Result<Self, AwsError> {
        Self::from_vars(&environment())
    }

    /// The same from these variables. An empty one counts as not set.
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, AwsError> {
        let mut wrong = Vec::new();
        let region = region(vars).unwrap_or_else(|| {
            wrong.push("AWS_REGION is not set".to_owned());
            String::new()
        });
        let mut key = |name: &str| {
            set(vars, name).unwrap_or_else(|| {
                wrong.push(format!("{name} is not set"));
                String::new()
            })
        };
        let (id, secret) = (key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"));
        let token = set(vars, "AWS_SESSION_TOKEN");
        let endpoints = endpoints(vars, &mut wrong);
        if !wrong.is_empty() {
            return Err(AwsError::Environment(wrong));
        }
        let credentials = Credentials::new(id, secret, token, None, "environment");
        Ok(Self::assemble(region, SharedCredentialsProvider::new(credentials), endpoints))
    }

    /// With credentials that somebody else finds and renews (an instance's role, a profile). Only
    /// the endpoints come from the environment.
    pub fn with_credentials(
        region: &str,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, AwsError> {
        let mut wrong = Vec::new();
        let endpoints = endpoints(&environment(), &mut wrong);
        if !wrong.is_empty() {
            return Err(AwsError::Environment(wrong));
        }
        Ok(Self::assemble(region.to_owned(), credentials, endpoints))
    }

    fn assemble(
        region: String,
        credentials: SharedCredentialsProvider,
        endpoints: BTreeMap<String, String>,
    ) -> Self {
        let (region, connector) = (Region::new(region), connector());
        Self { region, credentials, endpoints, connector, attempt_ms: ATTEMPT_MS }
    }

    /// Another bound on one attempt than [`ATTEMPT_MS`].
    #[must_use]
    pub fn attempt_ms(mut self, attempt_ms: u64) -> Self {
        self.attempt_ms = attempt_ms;
        self
    }

    #[must_use]
    pub fn region(&self) -> &str {
        self.region.as_ref()
    }

    /// Where requests for a service go instead of AWS: `AWS_ENDPOINT_URL_<SERVICE>`, else
    /// `AWS_ENDPOINT_URL`. A service is named as AWS's own tools name it there: `S3`, `SQS`, `SSM`,
    /// `SECRETS_MANAGER`, `AUTO_SCALING`, `EC2`.
    #[must_use]
    pub fn endpoint(&self, service: &str) -> Option<&str> {
        let own = self.endpoints.get(&format!("{ENDPOINT}_{service}"));
        own.or_else(|| self.endpoints.get(ENDPOINT)).map(String::as_str)
    }

    /// For calls that no SDK makes: the same pool of connections.
    #[must_use]
    pub fn connector(&self) -> &SharedHttpConnector {
        &self.connector
    }

    /// For calls that no SDK signs.
    ///
    /// # Errors
    /// When there are none, or no more.
    pub async fn credentials(&self) -> Result<Credentials, Failure> {
        let found = self.credentials.provide_credentials().await;
        // What went wrong may quote what was found.
        found.map_err(|_| Failure::no_answer("no credentials were found"))
    }

    /// The bound on one attempt.
    #[must_use]
    pub fn attempt(&self) -> Duration {
        Duration::from_millis(self.attempt_ms)
    }

    /// The pause after so many failed attempts, for calls that no SDK makes again.
    #[must_use]
    pub fn pause(attempts: u32) -> Duration {
        let doubled = BACKOFF_MS.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        Duration::from_millis(doubled.min(BACKOFF_MS_MAX))
    }

    /// What an SDK client of this service is built from.
    #[must_use]
    pub fn config_for(&self, service: &str) -> SdkConfig {
        let stalled = StalledStreamProtectionConfig::enabled()
            .grace_period(Duration::from_millis(STALLED_MS))
            .build();
        let retry = RetryConfig::standard()
            .with_max_attempts(TRIES_MAX)
            .with_initial_backoff(Duration::from_millis(BACKOFF_MS))
            .with_max_backoff(Duration::from_millis(BACKOFF_MS_MAX));
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(self.region.clone())
            .credentials_provider(self.credentials.clone())
            .http_client(http::client(self.connector.clone()))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .timeout_config(self.timeouts(0))
            .retry_config(retry)
            .stalled_stream_protection(stalled);
        config.set_endpoint_url(self.endpoint(service).map(str::to_owned));
        config.build()
    }

    /// Timeouts for a call that rightly takes this much longer than others.
    #[must_use]
    pub fn timeouts(&self, longer_by_ms: u64) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(CONNECT_MS))
            .operation_attempt_timeout(Duration::from_millis(
                self.attempt_ms.saturating_add(longer_by_ms),
            ))
            .build()
    }
}

/// Names that are not Unicode are nobody's we ask for.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn set(vars: &BTreeMap<String, String>, name: &str) -> Option<String> {
    vars.get(name).filter(|value| !value.is_empty()).cloned()
}

fn region(vars: &BTreeMap<String, String>) -> Option<String> {
    set(vars, "AWS_REGION").or_else(|| set(vars, "AWS_DEFAULT_REGION"))
}

fn endpoints(vars: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in vars {
        if value.is_empty() || !(name == ENDPOINT || name.starts_with("AWS_ENDPOINT_URL_")) {
            continue;
        }
        let address = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        if address.is_none_or(str::is_empty) {
            wrong.push(format!("{name} is not an address like https://host:port"));
        }
        found.insert(name.clone(), value.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 3] = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "do-not-show-me"),
    ];

    fn from(vars: &[(&str, &str)]) -> Result<Aws, AwsError> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Aws::from_vars(&vars.collect())
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (
                &[],
                "can't talk to AWS: AWS_REGION is not set; AWS_ACCESS_KEY_ID is not set; \
                 AWS_SECRET_ACCESS_KEY is not set",
            ),
            (
                &[("AWS_REGION", ""), KEYS[1], KEYS[2], ("AWS_ENDPOINT_URL_S3", "localhost:9000")],
                "can't talk to AWS: AWS_REGION is not set; AWS_ENDPOINT_URL_S3 is not an address \
                 like https://host:port",
            ),
            (
                &[KEYS[0], KEYS[2], ("AWS_ENDPOINT_URL", "http://")],
                "can't talk to AWS: AWS_ACCESS_KEY_ID is not set; AWS_ENDPOINT_URL is not an \
                 address like https://host:port",
            ),
            (&[KEYS[0], KEYS[1], KEYS[2], ("AWS_ENDPOINT_URL", "")], "fine"),
        ];
        for (vars, expected) in cases {
            let told = from(vars).map_or_else(|error| error.to_string(), |_| "fine".to_owned());
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_service_of_its_own_address_goes_there() {
        let mut vars = KEYS.to_vec();
        let general = ("AWS_ENDPOINT_URL", "http://localhost:1");
        let own = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://localhost:2");
        assert_eq!(from(&vars).unwrap().endpoint("S3"), None);
        vars.extend([general, own]);
        let aws = from(&vars).unwrap();
        for (service, expected) in [("S3", general.1), ("SECRETS_MANAGER", own.1)] {
            assert_eq!(aws.endpoint(service), Some(expected));
            assert_eq!(aws.config_for(service).endpoint_url(), Some(expected));
        }
        assert_eq!(aws.region(), "eu-central-1");
        assert!(!format!("{aws:?}").contains("do-not-show-me"));
    }

    #[test]
    fn the_older_name_of_the_region_counts_too() {
        let vars = [("AWS_DEFAULT_REGION", "us-west-2"), KEYS[1], KEYS[2]];
        assert_eq!(from(&vars).unwrap().region(), "us-west-2");
    }
}
