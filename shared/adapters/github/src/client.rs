//! One request and its answer: in whose name, how often, how large, and what a refusal means.
use crate::Auth;
use crate::quiet::Quiet;
use crate::tokens::Tokens;
use crate::wire::Message;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, redirect};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use windlass_ports::Fault;

pub(crate) const JSON: &str = "application/vnd.github+json";
/// The largest answer that is not an archive: a tree of 100,000 entries is about 30 MB.
pub(crate) const JSON_BYTES_MAX: usize = 64 * 1024 * 1024;
const API_VERSION: &str = "2022-11-28";
const AGENT: &str = concat!("windlass/", env!("CARGO_PKG_VERSION"));
const CONNECT_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX: Duration = Duration::from_secs(30);
const ARCHIVE_MAX: Duration = Duration::from_secs(180);
/// A repository that was renamed answers with its new place.
const HOPS_MAX: usize = 3;
/// A body whose length was not told grows by so much at most.
const STEP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Answers kept for a conditional request. More than these are forgotten all at once.
const TAGGED_MAX: usize = 128;

pub(crate) struct Client {
    /// Made for the first request: most starts of a function ask GitHub nothing, and this one reads
    /// all of the machine's root certificates.
    http: OnceLock<reqwest::Client>,
    /// Without a slash at its end.
    pub(crate) api: String,
    tokens: Tokens,
    quiet: Quiet,
    tagged: Mutex<HashMap<String, (HeaderValue, Vec<u8>)>>,
}

/// What is asked about one repository.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// `owner/repository`.
    pub(crate) place: &'a str,
    /// Behind `/repos/<place>`, encoded.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) bytes_max: usize,
    /// Ask whether the last answer still holds, which costs nothing of the limit.
    pub(crate) conditional: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(place: &'a str, path: String) -> Self {
        let (method, body, bytes_max) = (Method::GET, None, JSON_BYTES_MAX);
        Self { method, place, path, accept: JSON, body, bytes_max, conditional: false }
    }
}

/// An answer, read whole.
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// There was more than was asked for, and none of it is here.
    pub(crate) too_large: bool,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    pub(crate) fn message(&self) -> String {
        let message = serde_json::from_slice::<Message>(&self.body).map(|m| m.message);
        message.unwrap_or_default().lines().next().unwrap_or_default().chars().take(200).collect()
    }
    /// The answer of a request that went well, or what its refusal means.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        place: &str,
    ) -> Result<T, Fault> {
        if !self.status.is_success() {
            return Err(self.refusal(what, place));
        }
        if self.too_large {
            return Err(Fault::poison(format!("can't {what} of {place}: the answer is too large")));
        }
        let odd =
            |error| Fault::retryable_from(format!("can't {what}: GitHub's answer is odd"), error);
        serde_json::from_slice(&self.body).map_err(odd)
    }
    /// `what` completes "can't …".
    pub(crate) fn refusal(&self, what: &str, place: &str) -> Fault {
        let (status, message) = (self.status.as_u16(), self.message());
        let said =
            if message.is_empty() { status.to_string() } else { format!("{status}: {message}") };
        let head = format!("can't {what} of {place} on GitHub ({said})");
        match status {
            // A person puts it right, and until then nothing may get lost.
            401 => Fault::retryable(format!(
                "{head}: the token, or the App's key, is not accepted; put a valid one in its place"
            )),
            403 => Fault::poison(format!(
                "{head}: the token or App lacks a permission; docs/github.md lists what it needs"
            )),
            404 => Fault::poison(format!(
                "{head}: it does not exist, or the token or App has no access to it"
            )),
            408 | 500..=599 => Fault::retryable(head),
            300..=399 => Fault::poison(format!("{head}: it moved to where we do not follow")),
            _ => Fault::poison(head),
        }
    }
}

impl Client {
    pub(crate) fn new(api_url: &str, auth: Auth) -> Self {
        let (http, tagged) = Default::default();
        let api = api_url.trim_end_matches('/').to_owned();
        let (tokens, quiet) = (Tokens::new(auth), Quiet::default());
        Self { http, api, tokens, quiet, tagged }
    }

    fn http(&self) -> Result<&reqwest::Client, Fault> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // Somebody else in this process may have chosen already; both are ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(AGENT)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .build();
        // Certificates can be put in their place; what waits for them must not be lost.
        let http =
            http.map_err(|error| Fault::retryable_from("no TLS client can be made", error))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Asks in our name; once more if that is refused, with credentials read anew.
    pub(crate) async fn ask(&self, ask: &Ask<'_>) -> Result<Told, Fault> {
        let url = format!("{}/repos/{}{}", self.api, ask.place, ask.path);
        let token = self.tokens.of(self, ask.place, false).await?;
        let told = self.ask_with(ask, &url, &token).await?;
        match told.status {
            StatusCode::UNAUTHORIZED => {
                let token = self.tokens.of(self, ask.place, true).await?;
                self.ask_with(ask, &url, &token).await
            }
            StatusCode::NOT_FOUND => match self.tokens.renewed(&token).await? {
                Some(token) => self.ask_with(ask, &url, &token).await,
                None => Ok(told),
            },
            _ => Ok(told),
        }
    }

    async fn ask_with(&self, ask: &Ask<'_>, url: &str, token: &str) -> Result<Told, Fault> {
        let mut url = url.to_owned();
        let mut told = self.once(ask, &url, token).await?;
        for _ in 0..HOPS_MAX {
            let moved = matches!(told.status.as_u16(), 301 | 302 | 307 | 308);
            match told.header("location").filter(|to| moved && self.ours(to)) {
                Some(to) => url = to.to_owned(),
                None => break,
            }
            told = self.once(ask, &url, token).await?;
        }
        Ok(told)
    }

    /// True for an address of the API itself, which may see our credentials. Its host alone is not
    /// enough: a GitHub Enterprise Server may have its archives there too, beside the API.
    fn ours(&self, url: &str) -> bool {
        let plain = |url: &str| reqwest::Url::parse(url).ok().map(String::from);
        let Some((api, url)) = plain(&self.api).zip(plain(url)) else { return false };
        url.strip_prefix(api.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    }

    async fn once(&self, ask: &Ask<'_>, url: &str, token: &str) -> Result<Told, Fault> {
        let mut request =
            self.signed(ask.method.clone(), url, token)?.header(header::ACCEPT, ask.accept);
        if let Some(body) = &ask.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some((tag, _)) = ask.conditional.then(|| self.known(url)).flatten() {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let mut told = self.send(request, ask.bytes_max).await?;
        if !ask.conditional {
            return Ok(told);
        }
        match (told.status, self.known(url)) {
            (StatusCode::NOT_MODIFIED, Some((_, body))) => {
                (told.status, told.body) = (StatusCode::OK, body);
            }
            (StatusCode::OK, _) => self.keep(url, &told),
            _ => {}
        }
        Ok(told)
    }

    fn known(&self, url: &str) -> Option<(HeaderValue, Vec<u8>)> {
        self.tagged.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    fn keep(&self, url: &str, told: &Told) {
        // Its `Link` header is not kept: whoever pages counts instead.
        let Some(tag) = told.headers.get(header::ETAG) else { return };
        let mut tagged = self.tagged.lock().unwrap_or_else(PoisonError::into_inner);
        if tagged.len() >= TAGGED_MAX {
            tagged.clear();
        }
        tagged.insert(url.to_owned(), (tag.clone(), told.body.clone()));
    }

    pub(crate) fn signed(
        &self,
        method: Method,
        url: &str,
        token: &str,
    ) -> Result<reqwest::RequestBuilder, Fault> {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let Ok(mut bearer) = bearer else {
            return Err(Fault::retryable("the GitHub token holds characters that no token has"));
        };
        bearer.set_sensitive(true);
        let request = self.http()?.request(method, url).header("x-github-api-version", API_VERSION);
        Ok(request.header(header::AUTHORIZATION, bearer))
    }

    /// Sends, unless a limit asks for silence; a limit in the answer begins one.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        bytes_max: usize,
    ) -> Result<Told, Fault> {
        self.quiet.check()?;
        let begun = Instant::now();
        let response = request.send().await.map_err(unreachable)?;
        let (status, path) = (response.status(), response.url().path().to_owned());
        let headers = response.headers().clone();
        let whole = read(response, bytes_max).await?;
        let (too_large, body) = (whole.is_none(), whole.unwrap_or_default());
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(path, status = status.as_u16(), bytes = body.len(), ms, "asked GitHub");
        self.quiet.heed(status, &headers, &body, self.tokens.now_s())?;
        Ok(Told { status, headers, body, too_large })
    }

    /// An archive from where GitHub says that it lies. No credential goes there: the address is
    /// its own ticket, so it stays out of every error.
    /// None: it is larger.
    pub(crate) async fn download(
        &self,
        url: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Fault> {
        self.quiet.check()?;
        let request = self.http()?.get(url).timeout(ARCHIVE_MAX);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Fault::retryable(format!("GitHub's archive is not there ({status})")));
        }
        read(response, bytes_max).await
    }
}

/// Reads a body, never more than `max` of it; None if there is more.
async fn read(mut response: Response, max: usize) -> Result<Option<Vec<u8>>, Fault> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Ok(None);
    }
    let said = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body: Vec<u8> = Vec::with_capacity(said.unwrap_or(0));
    while let Some(part) = response.chunk().await.map_err(unreachable)? {
        if body.len() + part.len() > max {
            return Ok(None);
        }
        // Doubled each time, a large one would take up to three times its size.
        if body.len() + part.len() > body.capacity() {
            body.reserve_exact(part.len().max(body.len().min(STEP_BYTES_MAX)));
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body))
}

/// The address may be a ticket: it is left out.
fn unreachable(error: reqwest::Error) -> Fault {
    Fault::retryable_from("GitHub can't be reached", error.without_url())
}

/// A part of a path; `/` in it is encoded too.
pub(crate) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A path of a file.
pub(crate) fn path(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fixed;
    use std::sync::Arc;

    #[test]
    fn credentials_go_to_the_api_and_nowhere_else() {
        let auth = Auth::Token(Arc::new(Fixed::new("t")));
        let client = Client::new("https://ghe.example/api/v3/", auth);
        for (url, ours) in [
            ("https://ghe.example/api/v3/repositories/1", true),
            ("https://ghe.example.evil.example/api/v3", false),
            ("https://codeload.ghe.example/x", false),
            ("https://ghe.example/codeload/acme/infra/legacy.tar.gz/1", false),
            ("https://ghe.example/api/v3/../../codeload/acme", false),
            ("https://ghe.example/api/v30/x", false),
            ("http://ghe.example/api/v3/x", false),
            ("/repositories/1", false),
        ] {
            assert_eq!(client.ours(url), ours, "{url}");
        }
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(segment("feature/ü x#1"), "feature%2F%C3%BC%20x%231");
        assert_eq!(path("a b/ü?.tf"), "a%20b/%C3%BC%3F.tf");
    }
}
