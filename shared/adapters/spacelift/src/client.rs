//! One question and its answer: in whose name, how long, how large, and what a refusal means.
use crate::quiet::Quiet;
use crate::tokens::Tokens;
use crate::{Config, variable};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Response, StatusCode, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};
use windlass_ports::{Fault, Secrets};

const AGENT: &str = concat!("windlass/", env!("CARGO_PKG_VERSION"));
const PEM: &str = "-----BEGIN";
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A pool of some 20,000 workers.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// As much of Spacelift's own words as a sentence carries.
const SAID_CHARS_MAX: usize = 300;

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) key_id: String,
    pub(crate) key_secret_name: String,
    pub(crate) secrets: Arc<dyn Secrets>,
    tokens: Tokens,
    quiet: Quiet,
}

/// What came back over HTTP.
pub(crate) enum Told {
    Data(Value),
    /// The token, or what its owner may do, is not enough.
    Unauthorized,
    Refused(Refusal),
}

/// Errors of GraphQL's, in Spacelift's words.
pub(crate) struct Refusal(String);

impl Refusal {
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.contains(field)
    }
    pub(crate) fn is_not_found(&self) -> bool {
        self.0.to_ascii_lowercase().contains("not found")
    }
    /// A server may repeat what it was sent.
    pub(crate) fn without(self, secrets: &[&str]) -> Self {
        let hide = |said: String, secret: &&str| said.replace(*secret, "***");
        Self(secrets.iter().filter(|secret| !secret.is_empty()).fold(self.0, hide))
    }
    pub(crate) fn fault(&self, what: &str) -> Fault {
        let said: String = self.0.chars().take(SAID_CHARS_MAX).collect();
        let text = format!("can't {what}: Spacelift says \"{said}\"");
        let said = said.to_ascii_lowercase();
        // The document itself is refused: it will be the next time too.
        let unknown = ["cannot query field", "unknown field", "unknown argument", "unknown type"];
        match unknown.iter().any(|word| said.contains(word)) {
            true => Fault::poison(text),
            false => Fault::retryable(text),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Option<Vec<Said>>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

impl Client {
    pub(crate) fn new(config: Config) -> Result<Self, Fault> {
        // Somebody else in this process may have chosen already; both are ring.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(AGENT)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(config.answer_max);
        let bundle = config.ca_bundle.as_deref().map(str::trim).filter(|pem| !pem.is_empty());
        if let Some(pem) = bundle {
            http = http.tls_certs_merge(certificates(pem)?);
        }
        let http = http.build().map_err(|error| match bundle {
            Some(_) => bad_bundle(Some(error)),
            None => Fault::poison_from("no TLS client can be made", error),
        })?;
        let endpoint = config.endpoint.trim().trim_end_matches('/');
        let endpoint = endpoint.strip_suffix("/graphql").unwrap_or(endpoint);
        let Config { key_id, key_secret_name, secrets, .. } = config;
        let (tokens, quiet) = (Tokens::default(), Quiet::default());
        let url = format!("{}/graphql", endpoint.trim_end_matches('/'));
        Ok(Self { http, url, key_id, key_secret_name, secrets, tokens, quiet })
    }

    /// Asks in the key's name; once more with a new token if that is refused. `what` completes
    /// "can't …".
    pub(crate) async fn ask(
        &self,
        what: &str,
        document: &str,
        variables: &Value,
    ) -> Result<Result<Value, Refusal>, Fault> {
        let mut refused: Option<String> = None;
        loop {
            let token = self.tokens.get(self, refused.as_deref()).await?;
            match self.send(what, document, variables, Some(&token)).await? {
                Told::Data(data) => return Ok(Ok(data)),
                Told::Refused(refusal) => return Ok(Err(refusal.without(&[&token]))),
                Told::Unauthorized if refused.is_none() => refused = Some(token),
                Told::Unauthorized => {
                    return Err(Fault::poison(format!(
                        "can't {what}: the API key that {} names may not; its role needs to read \
                         the space of the worker pool, and worker:drain-set",
                        variable::KEY_ID
                    )));
                }
            }
        }
    }

    /// Sends, unless silence was asked for.
    pub(crate) async fn send(
        &self,
        what: &str,
        document: &str,
        variables: &Value,
        token: Option<&str>,
    ) -> Result<Told, Fault> {
        self.quiet.check()?;
        let begun = Instant::now();
        let mut request =
            self.http.post(&self.url).json(&json!({ "query": document, "variables": variables }));
        if let Some(token) = token {
            let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {token}")) else {
                return Err(Fault::retryable("Spacelift's token holds characters that none has"));
            };
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = request.send().await.map_err(|error| unreachable(what, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(what, response).await?;
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(what, status = status.as_u16(), bytes = body.len(), ms, "asked Spacelift");
        self.quiet.heed(status, &headers)?;
        told(what, status, &body)
    }
}

fn told(what: &str, status: StatusCode, body: &[u8]) -> Result<Told, Fault> {
    let answer = serde_json::from_slice::<Answer>(body).ok();
    let errors = answer.as_ref().and_then(|answer| answer.errors.as_ref());
    if let Some(errors) = errors.filter(|errors| !errors.is_empty() && !status.is_server_error()) {
        let said: Vec<&str> = errors.iter().map(|said| said.message.as_str()).collect();
        let said = said.join("; ");
        return Ok(match said.to_ascii_lowercase().contains("unauthorized") {
            true => Told::Unauthorized,
            false => Told::Refused(Refusal(said)),
        });
    }
    let head = format!("can't {what}: Spacelift answers {}", status.as_u16());
    match (status.as_u16(), answer) {
        (200, Some(Answer { data, .. })) if data.is_object() => Ok(Told::Data(data)),
        (200, _) => Err(Fault::retryable(format!(
            "can't {what}: the answer is not GraphQL's; check {}",
            variable::ENDPOINT
        ))),
        (401, _) => Ok(Told::Unauthorized),
        (407, _) => Err(Fault::poison(format!(
            "can't {what}: the proxy that HTTPS_PROXY names wants other credentials"
        ))),
        (408 | 500..=599, _) => Err(Fault::retryable(head)),
        _ => Err(Fault::poison(format!("{head}; check {}", variable::ENDPOINT))),
    }
}

/// Reads a body, never more than the largest.
async fn read(what: &str, mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(what, error))? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(Fault::poison(format!("can't {what}: Spacelift's answer is too large")));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn unreachable(what: &str, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let mut cause = error.source();
    let mut certificate = false;
    while let Some(inner) = cause {
        certificate |= inner.to_string().contains("certificate");
        cause = inner.source();
    }
    let text = match (error.is_timeout(), certificate) {
        (true, _) => format!("can't {what}: Spacelift took too long to answer"),
        (_, true) => format!(
            "can't {what}: Spacelift's certificate is not trusted; if a private authority signed \
             it, {} must hold that one's certificate",
            variable::CA_BUNDLE
        ),
        _ => format!("can't {what}: Spacelift can't be reached; check {}", variable::ENDPOINT),
    };
    Fault::retryable_from(text, error)
}

/// In PEM form, or that in Base64, as Spacelift's module has it in a variable and in its secret.
fn certificates(bundle: &str) -> Result<Vec<Certificate>, Fault> {
    let pem = match bundle.contains(PEM) {
        // What went through an environment variable has its line ends as two characters.
        true => bundle.replace("\\n", "\n").into_bytes(),
        false => {
            let folded: String = bundle.split_whitespace().collect();
            STANDARD.decode(folded).map_err(|_| bad_bundle(None))?
        }
    };
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| bad_bundle(Some(e)))?;
    if found.is_empty() { Err(bad_bundle(None)) } else { Ok(found) }
}

fn bad_bundle(error: Option<reqwest::Error>) -> Fault {
    let name = variable::CA_BUNDLE;
    let text = format!("{name} holds no certificates in PEM form, nor that in Base64");
    match error {
        Some(error) => Fault::poison_from(text, error),
        None => Fault::poison(text),
    }
}
