//! Many other stacks in the bucket: what a run costs must not depend on them.
use anyhow::{Context as _, Result, ensure};
use e2e::cloud::place::Inner;
use e2e::cloud::{Cloud, threads};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Requests at once: more than the API server answers at once gain nothing.
const AT_ONCE: usize = 8;
/// Where a stack leaves documents that somebody lists or that its run reads.
const OF_A_STACK: [&str; 3] = ["stacks/", "summaries/", "resources/"];

/// Gives the deployment as many more stacks, each with the documents of `like` under another name.
pub(crate) fn join(inner: &Inner, like: &str, many: usize) -> Result<()> {
    let models: Vec<(String, String)> = inner
        .keys()
        .into_iter()
        .filter(|key| OF_A_STACK.iter().any(|of| key.starts_with(of)) && key.contains(like))
        .map(|key| {
            let body = inner.object(&key).with_context(|| format!("{key} is gone"))?;
            Ok((key, String::from_utf8(body)?))
        })
        .collect::<Result<_>>()?;
    ensure!(models.len() >= 2, "the stack {like} has no head and summary: {models:?}");
    threads().block_on(put_all(&inner.cloud, Arc::new(models), like.to_owned(), many))
}

async fn put_all(
    cloud: &Cloud,
    models: Arc<Vec<(String, String)>>,
    like: String,
    many: usize,
) -> Result<()> {
    let mut at_work = JoinSet::new();
    for first in 0..AT_ONCE {
        let (s3, bucket) = (cloud.aws.s3.clone(), cloud.bucket().to_owned());
        let (models, like) = (models.clone(), like.clone());
        at_work.spawn(async move {
            for n in (first..many).step_by(AT_ONCE) {
                let slug = format!("other-{n:06}");
                for (key, body) in models.iter() {
                    let body = body.replace(&format!("\"{like}\""), &format!("\"{slug}\""));
                    let put = s3.put_object().bucket(&bucket).key(key.replace(&like, &slug));
                    put.body(body.into_bytes().into()).send().await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = at_work.join_next().await {
        ended??;
    }
    Ok(())
}
