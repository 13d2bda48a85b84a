//! The commands' way to a server: one of this machine, found by `server.json`, or one elsewhere,
//! by its address and an API key.
use crate::exit::{Exit, Failure};
use crate::remote::Key;
use crate::up::server_file::{self, ServerFile};
use api::v1::{Problem, ProblemCode, TokenRequest, TokenView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{RootCerts, TlsConfig};
use windlass_ports::Clock as _;
use windlass_ports::clock::SystemClock;

/// An answer takes longer only if something is wrong; waiting is done by asking again.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An answer is at most a megabyte, by the API's own rule; this leaves room.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    /// `http://127.0.0.1:8420`.
    base: String,
    access: Access,
    actor: Option<String>,
}

#[derive(Clone)]
enum Access {
    /// This machine's token.
    Token(String),
    Key(Key),
}

impl Client {
    /// The server of this data folder.
    pub(crate) fn find(data: &Path) -> Result<Self, Failure> {
        let none = || {
            Failure::missing(format!(
                "no server runs on the data folder {}; start one with `windlass up --repo .`",
                data.display()
            ))
        };
        let found = server_file::read(data).map_err(|e| none().because(e))?;
        Ok(Self::to(found.ok_or_else(none)?))
    }

    #[must_use]
    pub(crate) fn to(server: ServerFile) -> Self {
        // It is on this machine, whatever the environment says of other hosts.
        let config = Agent::config_builder().proxy(None);
        let config = config.http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        let base = format!("http://{}", server.address);
        Self { agent: config.into(), base, access: Access::Token(server.token), actor: None }
    }

    /// A server elsewhere. Its certificate is checked as the system checks others.
    #[must_use]
    pub(crate) fn remote(base: String, key: Key) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // A token is for this server, wherever it would like to send us.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls)
            .build();
        Self { agent: config.into(), base, access: Access::Key(key), actor: None }
    }

    /// Who asks, as the audit trail will name them.
    #[must_use]
    pub(crate) fn acting_as(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    #[cfg(test)]
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { access: Access::Token(token.to_owned()), ..self }
    }

    #[must_use]
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `path` begins behind `/api/v1`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, None)
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(Method::POST, path, Some(json(body)?))
    }

    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(Method::PUT, path, Some(json(body)?))
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::DELETE, path, None)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, Failure> {
        let answer = match &self.access {
            Access::Token(token) => self.send(method, path, body, Some(token))?,
            Access::Key(key) => {
                let kept = key.kept(SystemClock.now());
                let (token, fresh) = match kept {
                    Some(token) => (token, false),
                    None => (self.exchange(key)?, true),
                };
                let answer = self.send(method.clone(), path, body.clone(), Some(&token))?;
                // A kept token may have ended with its server's memory; a fresh one has not.
                if answer.0 != 401 || fresh {
                    answer
                } else {
                    key.forget();
                    self.send(method, path, body, Some(&self.exchange(key)?))?
                }
            }
        };
        read(answer)
    }

    /// The key for a token.
    fn exchange(&self, key: &Key) -> Result<String, Failure> {
        let request = TokenRequest { id: key.id.clone(), secret: key.secret().to_owned() };
        let answer = self.send(Method::POST, "/tokens", Some(json(&request)?), None)?;
        let token: TokenView = read(answer)?;
        key.keep(token.clone());
        Ok(token.token)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        token: Option<&str>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let silent = || Failure::missing(format!("the server at {} does not answer", self.base));
        let mut request =
            Request::builder().method(method).uri(self.url(&format!("/api/v1{path}")));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(actor) = &self.actor {
            request = request.header("windlass-actor", actor);
        }
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body);
                let request = request.map_err(|e| silent().because(e))?;
                self.agent.run(request)
            }
            None => {
                let request = request.body(()).map_err(|e| silent().because(e))?;
                self.agent.run(request)
            }
        };
        let mut answer = answer.map_err(|e| silent().because(e))?;
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let text =
            text.map_err(|e| Failure::missing("the server's answer broke off").because(e))?;
        Ok((answer.status().as_u16(), text))
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|e| Failure::failed("the request can't be written").because(e))
}

fn read<T: DeserializeOwned>((status, body): (u16, Vec<u8>)) -> Result<T, Failure> {
    if (200..300).contains(&status) {
        let body = if body.is_empty() { b"null".as_slice() } else { &body };
        return serde_json::from_slice(body).map_err(|e| {
            Failure::missing("the server is of another version: its answer makes no sense here")
                .because(e)
        });
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(Failure::new(exit_of(problem.code), problem.message)),
        Err(_) => Err(Failure::missing(format!("the server answered with status {status}"))),
    }
}

pub(crate) fn exit_of(code: ProblemCode) -> Exit {
    match code {
        ProblemCode::NotFound => Exit::NotFound,
        ProblemCode::Refused => Exit::Refused,
        ProblemCode::NotAllowed | ProblemCode::Unauthenticated => Exit::NotAllowed,
        ProblemCode::Invalid => Exit::Usage,
        ProblemCode::Unavailable | ProblemCode::Internal => Exit::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_become_the_exit_codes_that_the_api_names() {
        for code in [
            ProblemCode::NotFound,
            ProblemCode::Refused,
            ProblemCode::NotAllowed,
            ProblemCode::Unauthenticated,
            ProblemCode::Invalid,
            ProblemCode::Unavailable,
            ProblemCode::Internal,
        ] {
            assert_eq!(exit_of(code).code(), code.exit_code(), "{code:?}");
        }
    }

    #[test]
    fn a_missing_server_is_said_plainly() {
        let temp = tempfile::tempdir().unwrap();
        let failure = Client::find(temp.path()).err().unwrap();
        assert_eq!(failure.exit, Exit::Missing);
        assert!(failure.sentence.contains("no server runs"), "{failure}");
        // Port 9 is nobody's on this machine.
        let server = ServerFile { address: "127.0.0.1:9".into(), token: "t".into(), pid: 1 };
        let failure = Client::to(server).get::<serde_json::Value>("/stacks").err().unwrap();
        assert_eq!(failure.exit, Exit::Missing);
    }
}
