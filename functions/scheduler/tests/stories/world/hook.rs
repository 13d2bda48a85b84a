//! What a forge sends: deliveries of pushes, taken in as the webhook does.
use super::{REPO, World};
use serde_json::{Value, json};
use windlass_core::delivery::{Became, DeliveryOutcome, VerifiedDelivery};
use windlass_core::event::{DeliveryPointer, Intent};
use windlass_core::id::Sha;
use windlass_core::keys;
use windlass_ports::deliveries::{self, Taken};
use windlass_ports::{Fault, Source};

pub(crate) const NOBODY: &str = "0000000000000000000000000000000000000000";

/// A delivery that is about to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) event: &'static str,
    pub(crate) payload: Value,
}

impl World {
    /// Pushes files to a branch; what the forge then has to say.
    pub(crate) async fn commit(&mut self, branch: &str, files: &[&str]) -> Sent {
        self.events += 1;
        let text = format!("# {}", self.events);
        let written: Vec<(&str, &str)> = files.iter().map(|path| (*path, text.as_str())).collect();
        self.commit_of(branch, &written).await
    }

    pub(crate) async fn commit_of(&mut self, branch: &str, written: &[(&str, &str)]) -> Sent {
        self.advance(1_000);
        let before = self.branch(branch).await;
        let after = self.source.push(REPO, branch, written);
        let files: Vec<&str> = written.iter().map(|(path, _)| *path).collect();
        self.push_event(branch, before.as_ref(), Some(&after), json!({ "files": files }))
    }

    /// The branch goes, if it is there.
    pub(crate) async fn delete(&mut self, branch: &str) -> Option<Sent> {
        let head = self.branch(branch).await?;
        self.source.delete_branch(REPO, branch);
        Some(self.push_event(branch, Some(&head), None, json!({})))
    }

    /// The payload of a push; `more` may say `forced`, and the `files` of its one commit.
    pub(crate) fn push_event(
        &mut self,
        branch: &str,
        before: Option<&Sha>,
        after: Option<&Sha>,
        more: Value,
    ) -> Sent {
        let sha = |sha: Option<&Sha>| sha.map_or(NOBODY, Sha::as_str).to_owned();
        let author = json!({ "name": "Ada Example" });
        let commit = json!({
            "id": sha(after), "message": "A change\n\nand why", "author": author,
            "added": [], "removed": [], "modified": more["files"],
        });
        let payload = json!({
            "ref": format!("refs/heads/{branch}"), "before": sha(before), "after": sha(after),
            "created": before.is_none(), "deleted": after.is_none(),
            "forced": more["forced"].as_bool().unwrap_or(false),
            "commits": after.map_or(json!([]), |_| json!([commit])),
            "head_commit": after.map(|_| &commit),
            "repository": { "full_name": format!("acme/{REPO}") },
        });
        self.delivery("push", payload)
    }

    pub(crate) fn delivery(&mut self, event: &'static str, payload: Value) -> Sent {
        self.events += 1;
        let id = format!("72d3162e-cc78-11e3-81ab-{:012}", self.events);
        Sent { id, event, payload }
    }

    /// The webhook takes it in.
    pub(crate) async fn hook(&self, sent: &Sent) -> Result<Taken, Fault> {
        let body = sent.payload.to_string();
        let verified = VerifiedDelivery::vouched(&sent.id, sent.event, body.as_bytes());
        let what = (&REPO.into(), &verified.expect("genuine"));
        let (docs, queues) = (&*self.deps.docs, &*self.deps.queues);
        deliveries::take(docs, queues, what, self.now(), || self.deps.write_ids.next()).await
    }

    /// A pointer to its body, once more.
    pub(crate) async fn point(&mut self, sent: &Sent, body_key: String) {
        let id = sent.id.as_str().into();
        self.send_late(Intent::Delivery(DeliveryPointer { id, repo: REPO.into(), body_key })).await;
    }

    pub(crate) async fn outcome(&self, sent: &Sent) -> Option<Became> {
        let key = keys::delivery_outcome(&sent.id);
        self.load::<DeliveryOutcome>(&key).await.map(|outcome| outcome.became)
    }

    /// `routed`, `known`, …
    pub(crate) async fn became(&self, sent: &Sent) -> &'static str {
        self.outcome(sent).await.map_or("nothing", |became| became.label())
    }

    /// Where bodies of deliveries lie.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let docs = self.docs.dump().into_keys();
        docs.filter(|key| key.contains("/delivery:") || key.ends_with("/refused")).collect()
    }

    /// Whether anything of it is stored.
    pub(crate) fn is_kept(&self, sent: &Sent) -> bool {
        self.docs.dump().keys().any(|key| key.contains(&sent.id))
    }

    pub(crate) async fn branch(&self, branch: &str) -> Option<Sha> {
        self.source.head(&REPO.into(), branch).await.ok().flatten()
    }
}
