//! The token of each request: a person's, or an installation's, kept until shortly before its end.
use crate::client::{Client, JSON, JSON_BYTES_MAX, Told};
use crate::wire::{Installation, InstallationToken};
use crate::{Auth, app};
use reqwest::{Method, StatusCode, header};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use windlass_ports::Fault;

/// A token that ends sooner is replaced.
const LEFT_MIN_S: u64 = 300;
/// Of what is not there it may be that a newer token would see it: the store is asked at most this
/// often, for much is rightly not there.
const RENEWED_EVERY_S: u64 = 60;
/// What is assumed of a token whose end can't be read.
const LIVES_S: u64 = 3_600;

pub(crate) struct Tokens {
    auth: Auth,
    /// Held while a token is fetched: whoever comes meanwhile waits for the same one.
    held: Mutex<Held>,
    /// GitHub's clock minus ours.
    skew_s: AtomicI64,
}

#[derive(Default)]
struct Held {
    /// The second at which a personal token was last read past its cache because of a 404.
    renewed_s: Option<u64>,
    /// Installations by `owner/repository`.
    installations: HashMap<String, u64>,
    /// Tokens by installation, and the second at which each ends.
    tokens: HashMap<u64, (String, u64)>,
}

impl Tokens {
    pub(crate) fn new(auth: Auth) -> Self {
        Self { auth, held: Mutex::default(), skew_s: AtomicI64::new(0) }
    }

    /// Seconds since 1970 by GitHub's clock, as far as it is known.
    pub(crate) fn now_s(&self) -> u64 {
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        ours.saturating_add_signed(self.skew_s.load(Ordering::Relaxed))
    }

    /// The token for requests about this repository. `fresh`: the last one was refused.
    pub(crate) async fn of(
        &self,
        client: &Client,
        place: &str,
        fresh: bool,
    ) -> Result<String, Fault> {
        let mut held = self.held.lock().await;
        match &self.auth {
            Auth::Token(_) => self.secret(fresh).await,
            Auth::App { id, .. } => self.installed(client, &mut held, id, place, fresh).await,
        }
    }

    /// The personal token, if the store has another one than `used` by now. GitHub says of what a
    /// token may not see that it is not there, so a token that was replaced by one that may see more
    /// is not refused by 401.
    pub(crate) async fn renewed(&self, used: &str) -> Result<Option<String>, Fault> {
        let Auth::Token(_) = &self.auth else { return Ok(None) };
        let (mut held, now_s) = (self.held.lock().await, self.now_s());
        if held.renewed_s.is_some_and(|at| at <= now_s && now_s - at < RENEWED_EVERY_S) {
            return Ok(None);
        }
        let token = self.secret(true).await?;
        held.renewed_s = Some(now_s);
        Ok(Some(token).filter(|token| token != used))
    }

    /// The personal token, or the App's private key. Not kept here: whoever stores it has a cache
    /// that ends.
    async fn secret(&self, fresh: bool) -> Result<String, Fault> {
        let (Auth::Token(credential) | Auth::App { key: credential, .. }) = &self.auth;
        Ok(credential.read(fresh).await?.trim().to_owned())
    }

    async fn installed(
        &self,
        client: &Client,
        held: &mut Held,
        app: &str,
        place: &str,
        fresh: bool,
    ) -> Result<String, Fault> {
        if fresh && let Some(id) = held.installations.remove(place) {
            held.tokens.remove(&id);
        }
        let id = match held.installations.get(place) {
            Some(id) => *id,
            None => {
                let path = format!("/repos/{place}/installation");
                let told = self.as_app(client, app, (Method::GET, &path)).await?;
                let found: Installation = told.json("find the App's installation", place)?;
                held.installations.insert(place.to_owned(), found.id);
                found.id
            }
        };
        let enough = |end: u64| end > self.now_s().saturating_add(LEFT_MIN_S);
        if let Some((token, _)) = held.tokens.get(&id).filter(|(_, end)| enough(*end)) {
            return Ok(token.clone());
        }
        let path = format!("/app/installations/{id}/access_tokens");
        let told = self.as_app(client, app, (Method::POST, &path)).await?;
        let InstallationToken { token, expires_at } =
            told.json("get a token for the App", place)?;
        let end = expires_at.parse::<jiff::Timestamp>().ok();
        let end = end.and_then(|at| u64::try_from(at.as_second()).ok());
        let end = end.unwrap_or_else(|| self.now_s().saturating_add(LIVES_S));
        held.tokens.insert(id, (token.clone(), end));
        Ok(token)
    }

    /// Asks as the App itself; once more if that is refused, with the key read anew and by the
    /// clock of the one who refused.
    async fn as_app(
        &self,
        client: &Client,
        app: &str,
        (method, path): (Method, &str),
    ) -> Result<Told, Fault> {
        let url = format!("{}{path}", client.api);
        let mut fresh = false;
        loop {
            let pem = self.secret(fresh).await?;
            let jwt = app::jwt(app, &pem, self.now_s()).map_err(|error| {
                Fault::retryable_from("the GitHub App's private key can't be used", error)
            })?;
            let request = client.signed(method.clone(), &url, &jwt)?.header(header::ACCEPT, JSON);
            let told = client.send(request, JSON_BYTES_MAX).await?;
            if told.status != StatusCode::UNAUTHORIZED || fresh {
                return Ok(told);
            }
            self.learn_time(&told);
            fresh = true;
        }
    }

    fn learn_time(&self, told: &Told) {
        let parser = jiff::fmt::rfc2822::DateTimeParser::new();
        let date = told.header("date").and_then(|text| parser.parse_timestamp(text).ok());
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let (Some(date), Ok(ours)) = (date, i64::try_from(ours)) {
            self.skew_s.store(date.as_second() - ours, Ordering::Relaxed);
        }
    }
}
