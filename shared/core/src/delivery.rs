//! What a forge sends us: whether it is genuine, what it is about, and what became of it.
use crate::id::{EventId, RepoName, Sha};
use crate::time::{SECOND_MS, UnixMs};
use crate::wire::github;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// A larger body is refused: no more fits through API Gateway and Lambda (GitHub's own bound is
/// 25 MB).
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;
/// A delivery's id becomes part of keys. GitHub's are GUIDs.
const ID_CHARS_MAX: usize = 64;
const EVENT_CHARS_MAX: usize = 64;

/// The headers that matter, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `X-GitHub-Event`
    pub event: Option<&'a str>,
    /// `X-GitHub-Delivery`
    pub delivery: Option<&'a str>,
    /// `X-Hub-Signature-256`
    pub signature: Option<&'a str>,
}

/// Proof that somebody who knows the webhook's secret sent exactly this: only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDelivery {
    id: EventId,
    event: String,
    body: String,
}

impl VerifiedDelivery {
    /// The forge's id of this delivery: `[A-Za-z0-9-]`, at most 64 of them.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
    /// For a person who may do anything anyway and hands in a recorded delivery: their word stands
    /// for the signature, and nothing else is left out.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn vouched(id: &str, event: &str, body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        named(Some(id), Some(event), body)
    }
}

/// Why a request was not taken as a delivery.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a delivery is at most 6 MB")]
    TooLarge,
    #[error("there is no X-Hub-Signature-256: give the webhook a secret")]
    Unsigned,
    #[error("the signature is not made with a secret that is live here")]
    BadSignature,
    #[error("this webhook sends forms: choose the content type application/json on GitHub")]
    FormEncoded,
    #[error("the content type has to be application/json")]
    WrongContentType,
    #[error("{what}")]
    Malformed { what: &'static str },
}

/// Checks a request before anything of it is parsed. The signature covers the raw bytes and comes
/// first: whoever can't sign learns nothing but that.
///
/// # Errors
/// Says why it is not a delivery.
pub fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &LiveSecrets,
) -> Result<VerifiedDelivery, Refusal> {
    let signature = claimed(headers, body)?;
    if !secrets.signed(signature, body) {
        return Err(Refusal::BadSignature);
    }
    let content_type = headers.content_type.unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => {}
        "application/x-www-form-urlencoded" => return Err(Refusal::FormEncoded),
        _ => return Err(Refusal::WrongContentType),
    }
    named(headers.delivery, headers.event, body)
}

/// The signature that is claimed: what can be said without knowing a secret.
///
/// # Errors
/// `TooLarge` or `Unsigned`.
pub fn claimed<'a>(headers: &Headers<'a>, body: &[u8]) -> Result<&'a str, Refusal> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    headers.signature.filter(|text| !text.is_empty()).ok_or(Refusal::Unsigned)
}

fn named(id: Option<&str>, event: Option<&str>, body: &[u8]) -> Result<VerifiedDelivery, Refusal> {
    let malformed = |what| Refusal::Malformed { what };
    let event = event.ok_or(malformed("there is no X-GitHub-Event"))?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !short(event, EVENT_CHARS_MAX) || !event.chars().all(plain) {
        return Err(malformed("X-GitHub-Event is no name of an event"));
    }
    let id = id.ok_or(malformed("there is no X-GitHub-Delivery"))?;
    if !is_delivery_id(id) {
        return Err(malformed("X-GitHub-Delivery is no GUID"));
    }
    let body = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    let (event, body) = (event.to_owned(), body.to_owned());
    Ok(VerifiedDelivery { id: EventId::from(id), event, body })
}

/// What may be part of a key.
#[must_use]
pub fn is_delivery_id(text: &str) -> bool {
    short(text, ID_CHARS_MAX) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn short(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.len())
}

/// Secrets that sign deliveries now: several while one takes another's place. Never printed.
#[derive(Clone, Default)]
pub struct LiveSecrets(Vec<String>);

impl LiveSecrets {
    /// From stored values, each with one secret per line. An empty line is no secret: an empty key
    /// would let anybody sign.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = values.into_iter().flat_map(str::lines).map(str::trim);
        Self(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether one of them made this signature; each comparison takes the same time wherever they
    /// differ, and all are made.
    fn signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some(claimed) = signature.strip_prefix("sha256=").and_then(unhex) else { return false };
        self.0.iter().fold(false, |found, secret| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
                return found;
            };
            mac.update(body);
            mac.verify_slice(&claimed).is_ok() | found
        })
    }
    /// As GitHub signs with the first of them: for tests, and for whoever sends.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.first()?.as_bytes()).ok()?;
        mac.update(body);
        let digits = mac.finalize().into_bytes();
        Some(digits.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }
}

impl std::fmt::Debug for LiveSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} live secrets", self.0.len())
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What a genuine delivery asks for, as far as the one who takes it in must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// GitHub asks whether somebody is here. A webhook of an organisation names no repository.
    Ping {
        repository: Option<String>,
    },
    /// To be kept and looked at behind the queue. `repository` is `OWNER/REPO`.
    Keep {
        repository: String,
    },
    /// An event that Windlass has no use for: nothing is kept.
    Unknown,
    Malformed {
        what: &'static str,
    },
}

/// Events that have their place but no effect yet: kept, and recorded as ignored.
pub const NOT_YET: [&str; 9] = [
    "check_run",
    "check_suite",
    "create",
    "delete",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "repository",
];

/// Sorts a genuine delivery.
#[must_use]
pub fn intake(delivery: &VerifiedDelivery) -> Intake {
    let event = delivery.event();
    if !matches!(event, "ping" | "push") && !NOT_YET.contains(&event) {
        return Intake::Unknown;
    }
    let Ok(envelope) = serde_json::from_str::<github::Envelope>(delivery.body()) else {
        return Intake::Malformed { what: "the body is no payload of GitHub's" };
    };
    let repository = envelope.repository.map(|repository| repository.full_name);
    match (event, repository) {
        ("ping", repository) => Intake::Ping { repository },
        (_, Some(repository)) => Intake::Keep { repository },
        (_, None) => Intake::Malformed { what: "the payload names no repository" },
    }
}

/// A push's word, held against what is known of its branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The branch is known to be there already.
    Known,
    /// It follows on what is known and lists all its files: taken as it is.
    Told(Vec<String>),
    /// Out of order, forced, cut, a new or a deleted branch: only the forge knows where the branch
    /// is now, and that is what counts.
    Ask,
}

#[must_use]
pub fn weigh(push: &github::PushPayload, known: Option<&Sha>) -> Word {
    let known = known.map(Sha::as_str);
    if push.is_deletion() {
        return Word::Ask;
    }
    if known == Some(&push.after) {
        return Word::Known;
    }
    match push.files() {
        Some(files) if push.is_plain() && known == Some(&push.before) => Word::Told(files),
        _ => Word::Ask,
    }
}

/// For so long a forge may answer with the state from before a push that it told of itself.
const LAG_MS: u64 = 60 * SECOND_MS;

/// Whether what was found is the state from before a push, and the push so young that the answer
/// may be older than it.
#[must_use]
pub fn lags(push: &github::PushPayload, found: Option<&Sha>, age_ms: u64) -> bool {
    let there = |sha: &str| (!github::is_zero(sha)).then(|| Sha::from(sha));
    let (before, after) = (there(&push.before), there(&push.after));
    age_ms < LAG_MS && before != after && found == before.as_ref()
}

/// A delivery as it waits under `due/` until somebody has looked at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDelivery {
    pub event: String,
    pub received_at: UnixMs,
    pub body: String,
}

/// `deliveries/<id>/outcome`: what became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOutcome {
    pub delivery: EventId,
    pub repo: RepoName,
    pub event: String,
    pub received_at: UnixMs,
    pub at: UnixMs,
    pub became: Became,
}

impl DeliveryOutcome {
    /// An outcome is final, unless it is a refusal that turned out otherwise.
    #[must_use]
    pub fn may_become(&self, other: &DeliveryOutcome) -> bool {
        let refused = |outcome: &Self| matches!(outcome.became, Became::Refused { .. });
        refused(self) && !refused(other)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Became {
    /// The repository's actor heard of it under this event; what that touched is told by the
    /// rollout of this event. `head` none: the branch is gone.
    Routed { event: EventId, branch: String, head: Option<Sha> },
    /// Everything that it says was known already.
    Known { why: String },
    /// It concerns nothing here.
    Ignored { why: String },
    /// It can't be understood: it lies in quarantine.
    Refused { why: String },
}

impl Became {
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Became::Routed { .. } => "routed",
            Became::Known { .. } => "known",
            Became::Ignored { .. } => "ignored",
            Became::Refused { .. } => "refused",
        }
    }
}

#[cfg(test)]
#[path = "delivery_table.rs"]
mod table;
