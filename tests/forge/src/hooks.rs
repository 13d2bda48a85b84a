//! Webhooks as GitHub sends them: payloads made from the repository, signed, delivered by HTTP.
use crate::git::{self, Commit, Refused};
use crate::state::{Sent, Shared};
use crate::{ForgeServer, answers, auth};
use ring::{digest, hmac};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const ZEROS: &str = "0000000000000000000000000000000000000000";
/// GitHub hangs up after ten seconds.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// More commits than these are cut from a payload.
const COMMITS_MAX: usize = 2_048;

/// What a receiver answered to one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// `X-GitHub-Delivery`: the same again when it is sent again.
    pub id: String,
    /// 0: nobody answered.
    pub status: u16,
    pub body: String,
}

impl ForgeServer {
    /// Tells `url` that a branch moved. None for `before`: it is new; for `after`: it was deleted.
    ///
    /// Blocks until the receiver has answered; from async code call it on a blocking thread.
    #[must_use]
    pub fn deliver_push(
        &self,
        owner_repo: &str,
        branch: &str,
        before: Option<&str>,
        after: Option<&str>,
        url: &str,
        secret: &str,
    ) -> Delivered {
        let payload = self.push_payload(owner_repo, &format!("refs/heads/{branch}"), before, after);
        self.deliver("push", &payload, url, secret)
    }

    /// The payload of a push event; `reference` is whole (`refs/tags/v1`).
    #[must_use]
    pub fn push_payload(
        &self,
        owner_repo: &str,
        reference: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Value {
        let dir = self.shared.known().repos.get(owner_repo).cloned();
        let dir = dir.unwrap_or_else(|| panic!("{owner_repo} was not added"));
        let push = Push { reference, before, after };
        push.payload(&self.shared, owner_repo, &dir)
            .unwrap_or_else(|Refused(said)| panic!("{said}"))
    }

    /// Sends any event to `url`, signed.
    #[must_use]
    pub fn deliver(&self, event: &str, payload: &Value, url: &str, secret: &str) -> Delivered {
        let sent = Sent {
            event: event.to_owned(),
            body: payload.to_string(),
            url: url.to_owned(),
            secret: secret.to_owned(),
        };
        let id = {
            let mut known = self.shared.known();
            known.deliveries += 1;
            let id = delivery_id(&format!("{} {} {}", self.url(), known.deliveries, auth::now_s()));
            known.sent.insert(id.clone(), sent.clone());
            id
        };
        post(&id, &sent)
    }

    /// Sends a delivery again, as somebody's click on "Redeliver" does: the same id, the same body.
    #[must_use]
    pub fn redeliver(&self, id: &str) -> Delivered {
        let sent = self.shared.known().sent.get(id).cloned();
        post(id, &sent.unwrap_or_else(|| panic!("there was no delivery {id}")))
    }
}

/// The value of `X-Hub-Signature-256` for a body.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    format!("sha256={}", hex(tag.as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn delivery_id(seed: &str) -> String {
    let text = hex(digest::digest(&digest::SHA256, seed.as_bytes()).as_ref());
    let part = |from: usize, to: usize| &text[from..to];
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    parts.join("-")
}

fn post(id: &str, sent: &Sent) -> Delivered {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_MAX))
        .proxy(None)
        .build();
    let agent: ureq::Agent = config.into();
    let answer = agent
        .post(&sent.url)
        .header("accept", "*/*")
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/f0r9e00")
        .header("x-github-delivery", id)
        .header("x-github-event", &sent.event)
        .header("x-github-hook-id", "292430182")
        .header("x-github-hook-installation-target-id", "79929171")
        .header("x-github-hook-installation-target-type", "repository")
        .header("x-hub-signature-256", signature(&sent.secret, sent.body.as_bytes()))
        .send(&sent.body);
    let id = id.to_owned();
    match answer {
        Ok(mut answer) => {
            let body = answer.body_mut().read_to_string().unwrap_or_default();
            Delivered { id, status: answer.status().as_u16(), body }
        }
        Err(error) => Delivered { id, status: 0, body: error.to_string() },
    }
}

struct Push<'a> {
    reference: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl Push<'_> {
    fn payload(&self, shared: &Shared, repo: &str, dir: &Path) -> Result<Value, Refused> {
        let (before, after) = (self.before.unwrap_or(ZEROS), self.after.unwrap_or(ZEROS));
        let commits = self.commits(dir)?;
        let head = match self.after {
            Some(sha) => commit_json(shared, repo, dir, sha)?,
            None => Value::Null,
        };
        let forced = match (self.before, self.after) {
            (Some(before), Some(after)) => {
                git::git(dir, &["merge-base", "--is-ancestor", before, after]).is_err()
            }
            _ => false,
        };
        let mut shown = Vec::new();
        for sha in commits.iter().take(COMMITS_MAX) {
            shown.push(commit_json(shared, repo, dir, sha)?);
        }
        let (owner, web) = (repo.split('/').next().unwrap_or_default(), &shared.url);
        let short = |sha: &str| sha.get(..12).unwrap_or(sha).to_owned();
        let compare = match (self.before, self.after) {
            (Some(_), Some(_)) => {
                format!("{web}/{repo}/compare/{}...{}", short(before), short(after))
            }
            (None, Some(_)) => format!("{web}/{repo}/commit/{}", short(after)),
            _ => format!("{web}/{repo}/compare/{}...{}", short(before), short(ZEROS)),
        };
        let mut repository = answers::repository_json(shared, repo, dir);
        repository["master_branch"] = repository["default_branch"].clone();
        repository["pushed_at"] = json!(auth::now_s());
        Ok(json!({
            "ref": self.reference,
            "before": before,
            "after": after,
            "base_ref": null,
            "created": self.before.is_none(),
            "deleted": self.after.is_none(),
            "forced": forced,
            "compare": compare,
            "commits": shown,
            "head_commit": head,
            "repository": repository,
            "pusher": { "name": "ada", "email": "ada@example.com" },
            "sender": { "login": "ada", "id": 2, "type": "User" },
            "organization": { "login": owner, "id": 1 },
            "installation": { "id": auth::INSTALLATION, "node_id": "MDIzOkludGVncmF0aW9u" },
        }))
    }

    /// What the push brought, oldest first.
    fn commits(&self, dir: &Path) -> Result<Vec<String>, Refused> {
        let Some(after) = self.after else { return Ok(Vec::new()) };
        let mut args = vec!["rev-list".to_owned(), "--reverse".to_owned(), after.to_owned()];
        match self.before {
            Some(before) => args.push(format!("^{before}")),
            // A new branch brings what no other reference has.
            None => {
                let own = self.reference.to_owned();
                let all = git::text(dir, &["for-each-ref", "--format=%(refname)", "refs/heads/"])?;
                let others = all.lines().filter(|name| *name != own);
                args.extend(others.map(|name| format!("^{name}")));
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Ok(git::text(dir, &args)?.lines().map(str::to_owned).collect())
    }
}

fn commit_json(shared: &Shared, repo: &str, dir: &Path, sha: &str) -> Result<Value, Refused> {
    let commit: Commit = git::commit(dir, sha)?;
    let changed = git::own_changes(dir, &commit)?;
    let of = |status: &[char]| -> Vec<&str> {
        let matching = changed.iter().filter(|c| status.contains(&c.status));
        matching.map(|c| c.path.as_str()).collect()
    };
    let person = |p: &git::Person| json!({ "name": p.name, "email": p.email, "date": p.at_local });
    Ok(json!({
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": true,
        "message": commit.message,
        "timestamp": commit.committer.at_local,
        "url": format!("{}/{repo}/commit/{}", shared.url, commit.sha),
        "author": person(&commit.author),
        "committer": person(&commit.committer),
        "added": of(&['A']),
        "removed": of(&['D']),
        "modified": of(&['M', 'T']),
    }))
}
