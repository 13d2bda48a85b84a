//! The commands' way to the server: found by `server.json`, spoken to over HTTP.
use crate::exit::{Exit, Failure};
use crate::up::server_file::{self, ServerFile};
use api::v1::{Problem, ProblemCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// An answer takes longer only if something is wrong; waiting is done by asking again.
const TIMEOUT: Duration = Duration::from_secs(60);
/// An answer is at most a megabyte, by the API's own rule; this leaves room.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    server: ServerFile,
    actor: Option<String>,
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
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // It is on this machine, whatever the environment says of other hosts.
            .proxy(None)
            .build();
        Self { agent: config.into(), server, actor: None }
    }

    /// Who asks, as the audit trail will name them.
    #[must_use]
    pub(crate) fn acting_as(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    #[cfg(test)]
    pub(crate) fn with_token(self, token: &str) -> Self {
        let server = ServerFile { token: token.to_owned(), ..self.server };
        Self { server, ..self }
    }

    #[must_use]
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// `path` begins behind `/api/v1`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(self.url(&format!("/api/v1{path}")));
        self.answer(self.signed(request).call())
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.agent.post(self.url(&format!("/api/v1{path}")));
        self.answer(self.signed(request).send_json(body))
    }

    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.agent.put(self.url(&format!("/api/v1{path}")));
        self.answer(self.signed(request).send_json(body))
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.delete(self.url(&format!("/api/v1{path}")));
        self.answer(self.signed(request).call())
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("authorization", format!("Bearer {}", self.server.token));
        match &self.actor {
            Some(actor) => request.header("windlass-actor", actor),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let mut answer = answer.map_err(|e| {
            let address = &self.server.address;
            Failure::missing(format!("the server at {address} does not answer")).because(e)
        })?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body =
            text.map_err(|e| Failure::missing("the server's answer broke off").because(e))?;
        if status.is_success() {
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
}

fn exit_of(code: ProblemCode) -> Exit {
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
