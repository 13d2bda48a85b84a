//! Requests in, answers out: faults first, then credentials, then the route.
use crate::answers;
use crate::auth::{self, APP_ID, INSTALLATION};
use crate::state::{Call, Failure, Shared};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::runtime::Runtime;

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// One request, read whole.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    pub(crate) fn number(&self, name: &str, default: usize) -> usize {
        self.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
    pub(crate) fn accepts(&self, kind: &str) -> bool {
        self.header("accept").contains(kind)
    }
    /// Segments of the path, each decoded by itself: `%2F` does not split.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(decode).collect()
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        let kind = "application/json; charset=utf-8".to_owned();
        Self { status, headers: vec![("content-type", kind)], body: value.to_string().into_bytes() }
    }
    pub(crate) fn refuse(status: u16, message: impl Into<String>) -> Self {
        let docs = "https://docs.github.com/rest";
        let (message, status_text) = (message.into(), status.to_string());
        let value = json!({ "message": message, "documentation_url": docs, "status": status_text });
        Self::json(status, &value)
    }
    pub(crate) fn not_found() -> Self {
        Self::refuse(404, "Not Found")
    }
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = fn(&Shared, &Asked) -> Answer;

pub(crate) fn spawn(
    runtime: &Runtime,
    listener: TcpListener,
    shared: Arc<Shared>,
    handler: Handler,
) {
    let _inside = runtime.enter();
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let answer = move |State(shared): State<Arc<Shared>>, request: Request| async move {
        let asked = read(request).await;
        let task = tokio::task::spawn_blocking(move || recorded(&shared, &asked, handler));
        respond(task.await.unwrap_or_else(|_| Answer::refuse(500, "the fake itself failed")))
    };
    let router = Router::new().fallback(answer).with_state(shared);
    runtime.spawn(async move { axum::serve(listener, router).await });
}

async fn read(request: Request) -> Asked {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(&value.replace('+', " ")))
    });
    let (path, query) = (parts.uri.path().to_owned(), query.collect());
    Asked { method: parts.method, path, query, headers: parts.headers, body }
}

fn recorded(shared: &Shared, asked: &Asked, handler: Handler) -> Answer {
    let query: Vec<String> = asked.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let path = format!("{}{mark}{}", asked.path, query.join("&"));
    let failure = shared.due_failure(&format!("{} {path}", asked.method));
    let answer = match failure.map(fail) {
        Some(Some(failed)) => failed,
        Some(None) | None => handler(shared, asked),
    };
    let method = asked.method.to_string();
    shared.known().calls.push(Call { method, path, status: answer.status });
    answer
}

/// None: it is only slow.
fn fail(failure: Failure) -> Option<Answer> {
    Some(match failure {
        Failure::Slow(time) => {
            std::thread::sleep(time);
            return None;
        }
        Failure::Status(status) => Answer::refuse(status, "Server Error"),
        Failure::RateLimit { status, reset_in_s } => {
            Answer::refuse(status, "API rate limit exceeded for installation.")
                .with("x-ratelimit-limit", "5000")
                .with("x-ratelimit-remaining", "0")
                .with("x-ratelimit-reset", (auth::now_s() + reset_in_s).to_string())
        }
        Failure::SecondaryLimit { status, retry_after_s } => {
            let text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            let answer = Answer::refuse(status, text);
            match retry_after_s {
                Some(seconds) => answer.with("retry-after", seconds.to_string()),
                None => answer,
            }
        }
    })
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// All of a GitHub Enterprise Server's on one host.
pub(crate) fn enterprise(shared: &Shared, asked: &Asked) -> Answer {
    let inner = |path: &str| Asked { path: path.to_owned(), ..asked.clone() };
    if let Some(path) = asked.path.strip_prefix("/api/v3") {
        return api(shared, &inner(path));
    }
    match asked.path.strip_prefix("/codeload") {
        Some(path) => codeload(shared, &inner(path)),
        None => Answer::not_found(),
    }
}

/// The REST API.
pub(crate) fn api(shared: &Shared, asked: &Asked) -> Answer {
    if asked.header("user-agent").is_empty() {
        return Answer::refuse(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        );
    }
    let segments = asked.segments();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let by_app = matches!(parts[..], ["app", ..] | ["repos", _, _, "installation"]);
    if let Err(refused) = if by_app { app(asked) } else { holder(shared, asked) } {
        return refused;
    }
    if bearer(asked).is_some_and(|token| shared.known().blind.contains(token)) {
        return Answer::not_found();
    }
    let answer = match (asked.method.as_str(), &parts[..]) {
        ("POST", ["app", "installations", id, "access_tokens"]) => mint(shared, id),
        (_, ["repos", owner, name, rest @ ..]) => {
            let repo = format!("{owner}/{name}");
            let Some(dir) = shared.known().repos.get(&repo).cloned() else {
                return Answer::not_found();
            };
            match (asked.method.as_str(), rest) {
                ("GET", ["installation"]) => {
                    Some(Answer::json(200, &json!({ "id": INSTALLATION, "app_id": 4711 })))
                }
                ("POST", ["statuses", sha]) => answers::status(shared, &repo, &dir, sha, asked),
                ("GET", rest) => answers::get(shared, &repo, &dir, rest, asked),
                _ => None,
            }
        }
        _ => None,
    };
    match answer {
        Some(answer) if asked.method == Method::GET && answer.status == 200 => {
            tagged(asked, answer)
        }
        Some(answer) => answer,
        None => {
            let text = format!("{} {}", asked.method, asked.path);
            shared.known().mistakes.push(text);
            Answer::not_found()
        }
    }
}

/// An `ETag`, and 304 to whoever has this answer already.
fn tagged(asked: &Asked, answer: Answer) -> Answer {
    let digest = ring::digest::digest(&ring::digest::SHA256, &answer.body);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("W/\"{hex}\"");
    if asked.header("if-none-match") == tag {
        return Answer { status: 304, headers: vec![("etag", tag)], body: Vec::new() };
    }
    answer.with("etag", tag).with("x-ratelimit-remaining", "4999")
}

fn bearer(asked: &Asked) -> Option<&str> {
    let (kind, value) = asked.header("authorization").split_once(' ')?;
    (kind.eq_ignore_ascii_case("bearer") || kind.eq_ignore_ascii_case("token")).then_some(value)
}

fn holder(shared: &Shared, asked: &Asked) -> Result<(), Answer> {
    let Some(token) = bearer(asked) else {
        return Err(Answer::refuse(401, "Requires authentication"));
    };
    let known = shared.known();
    let installed = known.installation_tokens.get(token).is_some_and(|end| *end > auth::now_s());
    match known.tokens.contains(token) || installed {
        true => Ok(()),
        false => Err(Answer::refuse(401, "Bad credentials")),
    }
}

fn app(asked: &Asked) -> Result<(), Answer> {
    let jwt = bearer(asked).unwrap_or_default();
    auth::verify_jwt(jwt).map_err(|why| Answer::refuse(401, why))
}

fn mint(shared: &Shared, id: &str) -> Option<Answer> {
    if id != INSTALLATION.to_string() {
        return Some(Answer::not_found());
    }
    let mut known = shared.known();
    known.minted += 1;
    let token = format!("ghs_{APP_ID}forgeInstallationToken{:08}", known.minted);
    let end = auth::now_s() + known.limits.token_lives_s;
    known.installation_tokens.insert(token.clone(), end);
    let body = json!({
        "token": token,
        "expires_at": answers::moment(end),
        "permissions": { "contents": "read", "metadata": "read", "statuses": "write" },
        "repository_selection": "selected",
    });
    Some(Answer::json(201, &body))
}

/// Where archives lie: another host, which must never see the API's credentials.
pub(crate) fn codeload(shared: &Shared, asked: &Asked) -> Answer {
    if !asked.header("authorization").is_empty() {
        shared.known().mistakes.push("a credential was sent on to codeload".to_owned());
        return Answer::refuse(400, "Bad Request");
    }
    let ticket = asked.query("token").unwrap_or_default().to_owned();
    if !shared.known().codeload_tickets.contains(&ticket) {
        return Answer::not_found();
    }
    let segments = asked.segments();
    let [owner, name, kind, sha] = &segments[..] else { return Answer::not_found() };
    let dir = shared.known().repos.get(&format!("{owner}/{name}")).cloned();
    match dir {
        Some(dir) if kind == "legacy.tar.gz" => answers::archive(&dir, owner, name, sha),
        _ => Answer::not_found(),
    }
}

/// `%2F` and friends, by hand.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
