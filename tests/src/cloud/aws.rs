//! The box's own way to the API server: it is the account, not one of the functions.
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use emulator::{Emulator, REGION};
use std::sync::Arc;

/// Under this name its calls are recorded.
pub const CALLER: &str = "box";

#[derive(Clone)]
pub struct Aws {
    pub s3: aws_sdk_s3::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub emulator: Arc<Emulator>,
}

impl Aws {
    pub fn new(emulator: Arc<Emulator>) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let credentials = Credentials::new(CALLER, "not-a-secret", None, None, "the box");
        let (region, endpoint) = (Region::new(REGION), emulator.endpoint());
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .http_client(http.clone())
            .force_path_style(true)
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(region)
            .credentials_provider(credentials)
            .http_client(http)
            .build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            emulator,
        }
    }

    pub fn queue_url(&self, name: &str) -> String {
        self.emulator.queue_url_prefix(name)
    }
}
