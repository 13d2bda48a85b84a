//! What the server knows, does wrong on command, and was asked.
use crate::{KEY_SECRET, POOL};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A worker as Spacelift shows it. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub id: String,
    /// Has a run, or is about to have one.
    pub busy: bool,
    pub drained: bool,
    pub created_at: i64,
    pub available_at: Option<i64>,
    /// Usually JSON in a text; whatever the machine's environment said.
    pub metadata: String,
}

impl Worker {
    /// An idle one on this machine of this group.
    #[must_use]
    pub fn on(id: &str, instance: &str, group: &str) -> Self {
        let metadata = serde_json::json!({ "instance_id": instance, "asg_id": group }).to_string();
        let (busy, drained, created_at) = (false, false, now_s() - 3_600);
        let available_at = Some(now_s() - 1_800);
        Self { id: id.to_owned(), busy, drained, created_at, available_at, metadata }
    }
    #[must_use]
    pub fn busy(mut self) -> Self {
        (self.busy, self.available_at) = (true, None);
        self
    }
    #[must_use]
    pub fn drained(mut self) -> Self {
        self.drained = true;
        self
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub workers: Vec<Worker>,
    /// Schedulable runs that wait.
    pub pending: i64,
}

impl Pool {
    #[must_use]
    pub fn worker(&self, id: &str) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.id == id)
    }
    /// A run for this worker, as Spacelift hands it out: never to a drained one, nor a second one.
    pub fn run(&mut self, id: &str) -> bool {
        let found = self.workers.iter_mut().find(|worker| worker.id == id);
        let Some(worker) = found.filter(|worker| !worker.drained && !worker.busy) else {
            return false;
        };
        (worker.busy, worker.available_at) = (true, None);
        true
    }
    /// Its run ends.
    pub fn finish(&mut self, id: &str) {
        for worker in self.workers.iter_mut().filter(|worker| worker.id == id) {
            (worker.busy, worker.available_at) = (false, Some(now_s()));
        }
    }
    /// A person's drain, or its end.
    pub fn set_drained(&mut self, id: &str, drained: bool) {
        for worker in self.workers.iter_mut().filter(|worker| worker.id == id) {
            worker.drained = drained;
        }
    }
    pub fn remove(&mut self, id: &str) {
        self.workers.retain(|worker| worker.id != id);
    }
}

/// One request as it came, and what was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When it was answered, in seconds since 1970.
    pub at: f64,
    /// The root fields that it asks for.
    pub fields: Vec<String>,
    pub document: String,
    /// As they were sent, but for a key's secret.
    pub variables: Value,
    pub status: u16,
    /// The messages of the errors in the answer.
    pub errors: Vec<String>,
}

/// How operations go wrong.
#[derive(Clone, Debug)]
pub enum Failure {
    /// This status with this body and nothing done.
    Status(u16, &'static str),
    /// 429, with or without a `Retry-After`.
    TooMany { retry_after_s: Option<u64> },
    /// Carried out and answered rightly, but only after this long.
    Slow(Duration),
    /// Carried out, and the answer is lost: 502 instead.
    LostReply,
    /// An error of GraphQL's, with HTTP 200 and nothing done.
    Error(&'static str),
}

pub(crate) struct Rule {
    pub(crate) field: String,
    pub(crate) left: u32,
    pub(crate) failure: Failure,
}

pub(crate) struct Script {
    pub(crate) field: String,
    pub(crate) then: Box<dyn FnOnce(&mut Pool) + Send>,
}

pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) key_secret: String,
    pub(crate) may_drain: bool,
    /// Tokens and the second at which each ends.
    pub(crate) tokens: BTreeMap<String, i64>,
    pub(crate) tokens_ever: Vec<String>,
    pub(crate) token_lives_s: i64,
    pub(crate) minted: u64,
    pub(crate) rules: Vec<Rule>,
    pub(crate) scripts: VecDeque<Script>,
    pub(crate) calls: Vec<Call>,
    pub(crate) mistakes: Vec<String>,
}

pub(crate) struct Shared(Mutex<World>);

impl Shared {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(World {
            pool: Pool::default(),
            key_secret: KEY_SECRET.to_owned(),
            may_drain: true,
            tokens: BTreeMap::new(),
            tokens_ever: Vec::new(),
            token_lives_s: 3_600,
            minted: 0,
            rules: Vec::new(),
            scripts: VecDeque::new(),
            calls: Vec::new(),
            mistakes: Vec::new(),
        }))
    }
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// The failure that is due for an operation on these fields, if any.
    pub(crate) fn due(&mut self, fields: &[String]) -> Option<Failure> {
        let due = |rule: &&mut Rule| rule.left > 0 && fields.contains(&rule.field);
        let rule = self.rules.iter_mut().find(due)?;
        rule.left -= 1;
        Some(rule.failure.clone())
    }
    /// What a test wants to have happened before this field is carried out.
    pub(crate) fn play(&mut self, field: &str) {
        let at = self.scripts.iter().position(|script| script.field == field);
        if let Some(script) = at.and_then(|at| self.scripts.remove(at)) {
            (script.then)(&mut self.pool);
        }
    }
    pub(crate) fn record(&mut self, call: Call) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.calls.push(Call { at: since.as_secs_f64(), ..call });
    }
    pub(crate) fn mint(&mut self) -> (String, i64) {
        self.minted += 1;
        let token = format!("eyJhbGciOiJLTVMifQ.c3BhY2VsaWZ0LXNlcnZlcg.{:08}", self.minted);
        let until = now_s() + self.token_lives_s;
        self.tokens.insert(token.clone(), until);
        self.tokens_ever.push(token.clone());
        (token, until)
    }
    pub(crate) fn takes(&self, token: &str) -> bool {
        self.tokens.get(token).is_some_and(|until| *until > now_s())
    }
    pub(crate) fn pool_of(&mut self, id: &str) -> Option<&mut Pool> {
        (id == POOL).then_some(&mut self.pool)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
