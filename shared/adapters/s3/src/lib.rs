//! Docs and Blobs in one bucket: conditional writes.
//!
//! A document's version is its ETag. `cas` makes every body new, so a tag never comes back though
//! it is a hash of the body. A call whose answer was lost is repeated by the SDK, and finds its own
//! write: that is a conflict like any other here, and `cas` recognises the write id.
mod blobs;
mod dated;
mod docs;

use adapter_aws::{Aws, Failure};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use windlass_ports::docs::{KEY_BYTES_MAX, LIST_MAX};
use windlass_ports::{Fault, Listed, Version};

/// Uploads and downloads may be this slow before a call is given up.
const BYTES_PER_MS_MIN: u64 = 500;
/// A body is one request, and whole in memory. Meant for archives and plans of up to so many bytes;
/// S3 itself refuses more than 5 GB, as `Poison`.
pub const BLOB_BYTES_USUAL_MAX: u64 = 100_000_000;

/// One bucket. Its requests go to `https://<endpoint>/<bucket>/…` where an endpoint is set.
pub struct Bucket {
    client: Client,
    name: String,
    aws: Aws,
}

impl Bucket {
    #[must_use]
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        let config = aws.config_for("S3");
        let config = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(config.endpoint_url().is_some())
            .build();
        Self { client: Client::from_conf(config), name: bucket.to_owned(), aws: aws.clone() }
    }

    /// What an attempt at moving this many bytes may take.
    fn patience(&self, bytes: usize) -> TimeoutConfig {
        self.aws.timeouts(bytes as u64 / BYTES_PER_MS_MIN)
    }

    fn fault(&self, failure: Failure, what: &str, key: &str) -> Fault {
        failure.fault(format!("can't {what} {key} in the bucket {}", self.name))
    }

    /// Keys with their versions, page by page until the limit.
    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        let limit = limit.min(LIST_MAX);
        let (mut found, mut token) = (Vec::new(), None);
        while found.len() < limit {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_start_after(after.filter(|after| !after.is_empty()).map(str::to_owned))
                .set_continuation_token(token)
                .max_keys(left)
                .send()
                .await
                .map_err(|e| self.fault(Failure::of(e), "list", prefix))?;
            found.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                Some(Listed {
                    key: object.key?,
                    version: Version(object.e_tag.unwrap_or_default()),
                })
            }));
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// Why a key can't be stored, if so.
fn check(key: &str) -> Result<(), Fault> {
    match key.len() {
        0 => Err(Fault::poison("a key is empty")),
        1..=KEY_BYTES_MAX => Ok(()),
        long => Err(Fault::poison(format!("a key has {long} bytes; {KEY_BYTES_MAX} is the most"))),
    }
}

/// Nothing by that key. That the bucket is missing is another thing.
fn is_absent(failure: &Failure) -> bool {
    failure.status() == Some(404) && !failure.is(&["NoSuchBucket"])
}

fn failure<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Failure {
    Failure::of(error)
}
