//! Many other stacks in the bucket: what a run costs must not depend on them.
use anyhow::{Context as _, Result, ensure};
use e2e::cloud::place::Inner;

/// Where a stack leaves documents that somebody lists or that its run reads.
const OF_A_STACK: [&str; 3] = ["stacks/", "summaries/", "resources/"];
/// Stands where a stack's slug was.
const SLUG: &str = "{slug}";

/// Gives the deployment as many more stacks, each with the documents of `like` under another name.
pub(crate) fn join(inner: &Inner, like: &str, many: usize) -> Result<()> {
    let models: Vec<(String, String)> = inner
        .keys()
        .into_iter()
        .filter(|key| OF_A_STACK.iter().any(|of| key.starts_with(of)) && key.contains(like))
        .map(|key| {
            let body = inner.object(&key).with_context(|| format!("{key} is gone"))?;
            let body = String::from_utf8(body)?;
            Ok((key.replace(like, SLUG), body.replace(&quoted(like), &quoted(SLUG))))
        })
        .collect::<Result<_>>()?;
    ensure!(models.len() >= 2, "the stack {like} has no head and summary: {models:?}");
    let names: Vec<String> = (0..many).map(|n| format!("other-{n:06}")).collect();
    let cloud = &inner.cloud;
    cloud.aws.emulator.seed(cloud.bucket(), &models, SLUG, &names)
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
