//! What the server knows, does wrong on command, and was asked.
use crate::auth;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A commit status as it was posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub sha: String,
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStatus {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) target_url: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) context: Option<String>,
}

/// One request as it came, and what was answered. No credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// With the query.
    pub path: String,
    pub status: u16,
}

/// How requests go wrong.
#[derive(Clone, Debug)]
pub enum Failure {
    /// This status, with a message and nothing else.
    Status(u16),
    /// The hour's requests are used up: `x-ratelimit-remaining: 0`, free again in so many seconds.
    RateLimit { status: u16, reset_in_s: u64 },
    /// Too much at once, with or without a `Retry-After`.
    SecondaryLimit { status: u16, retry_after_s: Option<u64> },
    /// Answers rightly, but only after this long.
    Slow(Duration),
}

/// GitHub's bounds; tests lower them to meet them cheaply.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub compare_files: usize,
    pub tree_entries: usize,
    /// Statuses of one commit and context.
    pub statuses: usize,
    pub token_lives_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { compare_files: 300, tree_entries: 100_000, statuses: 1_000, token_lives_s: 3_600 }
    }
}

pub(crate) struct Rule {
    pub(crate) part: String,
    pub(crate) left: u32,
    pub(crate) failure: Failure,
}

/// A webhook delivery, kept so that it can be sent again.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) event: String,
    pub(crate) body: String,
    pub(crate) url: String,
    pub(crate) secret: String,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) repos: BTreeMap<String, PathBuf>,
    pub(crate) statuses: BTreeMap<String, Vec<Status>>,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) blind: BTreeSet<String>,
    /// Installation tokens and the second at which they end.
    pub(crate) installation_tokens: BTreeMap<String, u64>,
    pub(crate) minted: u64,
    pub(crate) codeload_tickets: BTreeSet<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    pub(crate) calls: Vec<Call>,
    pub(crate) mistakes: Vec<String>,
    pub(crate) sent: BTreeMap<String, Sent>,
    pub(crate) deliveries: u64,
}

pub(crate) struct Shared {
    known: Mutex<Known>,
    pub(crate) url: String,
    pub(crate) codeload: String,
}

impl Shared {
    pub(crate) fn new(url: String, codeload: String) -> Self {
        let tokens = BTreeSet::from([auth::TOKEN.to_owned()]);
        Self { known: Mutex::new(Known { tokens, ..Known::default() }), url, codeload }
    }
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The failure that is due for this request, if any.
    pub(crate) fn due_failure(&self, asked: &str) -> Option<Failure> {
        let mut known = self.known();
        let rule =
            known.rules.iter_mut().find(|rule| rule.left > 0 && asked.contains(&rule.part))?;
        rule.left = rule.left.saturating_sub(1);
        Some(rule.failure.clone())
    }
}
