//! The JSON API as a program sees it that knows nothing but its documentation.
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;

/// One server's API, with its token.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    token: String,
    actor: Option<String>,
}

/// An answer that is not a success; status 0: nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
}

pub type Answer = Result<Value, Refusal>;

impl Api {
    pub fn new(address: &str, token: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build();
        let base = format!("http://{address}");
        Self { agent: config.into(), base, token: token.to_owned(), actor: None }
    }

    /// The same, asking in somebody's name.
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Self {
        Self { actor: Some(actor.to_owned()), ..self.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `path` begins behind `/api/v1`.
    pub fn get(&self, path: &str) -> Answer {
        answer(self.signed(self.agent.get(self.url(&format!("/api/v1{path}")))).call())
    }
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.signed(self.agent.post(self.url(&format!("/api/v1{path}")))).send_json(body))
    }
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        answer(self.signed(self.agent.put(self.url(&format!("/api/v1{path}")))).send_json(body))
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = request.header("authorization", format!("Bearer {}", self.token));
        match &self.actor {
            Some(actor) => request.header("windlass-actor", actor),
            None => request,
        }
    }
}

fn answer(answer: Result<Response<ureq::Body>, ureq::Error>) -> Answer {
    let nobody =
        |error: ureq::Error| Refusal { status: 0, code: String::new(), message: error.to_string() };
    let mut answer = answer.map_err(nobody)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().map_err(nobody)?;
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text));
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Err(Refusal { status, code: field("code"), message: field("message") })
}
