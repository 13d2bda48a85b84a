//! Makes what the template asks for, as CloudFormation would.
use super::aws::{Aws, CALLER};
use super::stack::{Queue, Stack};
use anyhow::{Context as _, Result};
use aws_sdk_s3::types::{
    BucketVersioningStatus, EventBridgeConfiguration, NotificationConfiguration,
    VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

/// Buckets, queues, and groups of machines.
///
/// # Errors
/// When the API server refuses one.
pub async fn deploy(aws: &Aws, stack: &Stack) -> Result<()> {
    for bucket in &stack.buckets {
        let made = aws.s3.create_bucket().bucket(&bucket.name).send().await;
        made.with_context(|| format!("the bucket {}", bucket.name))?;
        if bucket.versioned {
            let enabled =
                VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
            let asked = aws.s3.put_bucket_versioning().bucket(&bucket.name);
            asked.versioning_configuration(enabled).send().await.context("versioning")?;
        }
        if bucket.tells {
            let told = EventBridgeConfiguration::builder().build();
            let told = NotificationConfiguration::builder().event_bridge_configuration(told);
            let asked = aws.s3.put_bucket_notification_configuration().bucket(&bucket.name);
            let asked = asked.notification_configuration(told.build());
            asked.send().await.context("what the bucket tells of")?;
        }
    }
    // A queue is there before the one that sends its dead letters there.
    let redrives = |queue: &&Queue| queue.attributes.contains_key("RedrivePolicy");
    let (later, first): (Vec<&Queue>, Vec<&Queue>) = stack.queues.iter().partition(redrives);
    for queue in first.into_iter().chain(later) {
        let mut asked = aws.sqs.create_queue().queue_name(&queue.name);
        for (name, value) in &queue.attributes {
            asked = asked.attributes(QueueAttributeName::from(name.as_str()), value);
        }
        asked.send().await.with_context(|| format!("the queue {}", queue.name))?;
    }
    // Last: a hook's queue is told of it at once.
    stack.groups.iter().try_for_each(|group| group.make(aws))
}

/// A SecureString, as a person makes it before the deployment. Of this service nothing else is
/// needed here, so its SDK, which takes minutes to build, is not.
///
/// # Errors
/// When the API server refuses it.
pub fn parameter(aws: &Aws, name: &str, value: &str) -> Result<()> {
    let words = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
    let kept = aws.emulator.json(CALLER, "ssm", "AmazonSSM.PutParameter", &words);
    kept.map(|_| ()).with_context(|| format!("the parameter {name}"))
}
