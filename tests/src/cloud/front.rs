//! The HTTP API in front of the functions: real HTTP in, payload 2.0 to the function and back.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
//! and its quotas: 10 MB of a request, 6 MB of what a function takes and gives, 30 s.
use super::environment::Failed;
use super::runtime::{Lambda, lock, new_id};
use super::stack::{Route, Throttle};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::ACCOUNT;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// An address that people, programs and GitHub know.
pub struct Front {
    pub address: SocketAddr,
    state: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    lambda: Mutex<Option<Arc<Lambda>>>,
    routes: Mutex<Vec<Route>>,
    bucket: Mutex<Option<Bucket>>,
    open: AtomicBool,
}

/// A token bucket: the API's throttling.
struct Bucket {
    throttle: Throttle,
    tokens: f64,
    filled: Instant,
}

impl Front {
    /// An address that nobody answers yet: functions must know it before they exist.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn bind() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Shared {
            lambda: Mutex::default(),
            routes: Mutex::default(),
            bucket: Mutex::default(),
            open: AtomicBool::new(false),
        });
        let router = Router::new()
            .fallback(serve)
            .layer(DefaultBodyLimit::disable())
            .with_state(state.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, state, server })
    }

    pub fn connect(&self, lambda: &Arc<Lambda>, routes: &[Route], throttle: Option<Throttle>) {
        *lock(&self.state.lambda) = Some(lambda.clone());
        *lock(&self.state.routes) = routes.to_vec();
        let full = |throttle: Throttle| Bucket {
            throttle,
            tokens: throttle.burst,
            filled: Instant::now(),
        };
        *lock(&self.state.bucket) = throttle.map(full);
    }

    /// Shut, it answers everybody with 503.
    pub fn set_open(&self, open: bool) {
        self.state.open.store(open, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Bucket {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let fresh = now.duration_since(self.filled).as_secs_f64() * self.throttle.rate;
        (self.tokens, self.filled) = ((self.tokens + fresh).min(self.throttle.burst), now);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let lambda = lock(&shared.lambda).clone();
    let Some(lambda) = lambda.filter(|_| shared.open.load(Ordering::SeqCst)) else {
        return refused(StatusCode::SERVICE_UNAVAILABLE);
    };
    if lock(&shared.bucket).as_mut().is_some_and(|bucket| !bucket.take()) {
        return refused(StatusCode::TOO_MANY_REQUESTS);
    }
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let found = {
        let routes = lock(&shared.routes);
        let matching = |route: &Route| Some((route.clone(), matches(route, method, path)?));
        routes.iter().find_map(matching)
    };
    let Some((route, parameters)) = found else { return refused(StatusCode::NOT_FOUND) };
    // Read to its end all the same: whoever still sends does not hear why he is cut off.
    let body = axum::body::to_bytes(body, 4 * REQUEST_BYTES_MAX).await;
    let Some(body) = body.ok().filter(|body| body.len() <= REQUEST_BYTES_MAX) else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let event = event(&parts, &body, &route, parameters);
    let event = Bytes::from(event.to_string());
    let invoked = tokio::time::timeout(PATIENCE, lambda.invoke(&route.function, event, None)).await;
    match invoked {
        Ok(Ok(answer)) => {
            answered(&answer).unwrap_or_else(|| refused(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Ok(Err(Failed::Throttled | Failed::TimedOut | Failed::Down)) | Err(_) => {
            refused(StatusCode::SERVICE_UNAVAILABLE)
        }
        // API Gateway hands this on as what the function's service said.
        Ok(Err(Failed::TooLarge)) if body.len() > 4 * 1024 * 1024 => {
            refused(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => refused(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// In API Gateway's own words.
fn refused(status: StatusCode) -> Response {
    let words = match status {
        StatusCode::INTERNAL_SERVER_ERROR => "Internal Server Error",
        StatusCode::NOT_FOUND => "Not Found",
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        StatusCode::TOO_MANY_REQUESTS => "Too Many Requests",
        _ => "Service Unavailable",
    };
    (status, axum::Json(json!({ "message": words }))).into_response()
}

/// The parameters of the path, if the route takes this request.
fn matches(route: &Route, method: &str, path: &str) -> Option<BTreeMap<String, String>> {
    if route.method.as_ref().is_some_and(|own| own != method) {
        return None;
    }
    let mut parameters = BTreeMap::new();
    let Some(pattern) = &route.path else { return Some(parameters) };
    let mut rest = path.trim_start_matches('/').split('/');
    for part in pattern.trim_start_matches('/').split('/') {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        match name {
            Some(name) if name.ends_with('+') => {
                let all: Vec<&str> = rest.by_ref().collect();
                if all.is_empty() {
                    return None;
                }
                parameters.insert(name.trim_end_matches('+').to_owned(), all.join("/"));
            }
            Some(name) => {
                parameters.insert(name.to_owned(), rest.next()?.to_owned());
            }
            None if rest.next() == Some(part) => {}
            None => return None,
        }
    }
    rest.next().is_none().then_some(parameters)
}

fn event(
    parts: &axum::http::request::Parts,
    body: &Bytes,
    route: &Route,
    parameters: BTreeMap<String, String>,
) -> Value {
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let headers = headers(&parts.headers);
    let cookies: Vec<&str> = parts
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok())
        .flat_map(|cookie| cookie.split("; "))
        .collect();
    let key = match (&route.method, &route.path) {
        (_, None) => "$default".to_owned(),
        (method, Some(path)) => format!("{} {path}", method.as_deref().unwrap_or("ANY")),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let domain = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "box",
            "domainName": domain,
            "domainPrefix": "box",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": new_id(),
            "routeKey": key,
            "stage": "$default",
            "timeEpoch": u64::try_from(now.as_millis()).unwrap_or_default(),
        },
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(&parts.uri));
    }
    if !parameters.is_empty() {
        event["pathParameters"] = json!(parameters);
    }
    if !body.is_empty() {
        match std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers)) {
            Some(text) => event["body"] = json!(text),
            None => {
                event["body"] = json!(STANDARD.encode(body));
                event["isBase64Encoded"] = json!(true);
            }
        }
    }
    event
}

/// Several of one name are joined by commas; cookies have a field of their own.
fn headers(all: &HeaderMap) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in all.keys().filter(|name| **name != COOKIE) {
        let values = all.get_all(name).iter();
        let values: Vec<String> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        joined.insert(name.as_str().to_owned(), values.join(",").into());
    }
    joined
}

fn query_parameters(uri: &axum::http::Uri) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
    for (name, value) in pairs.map(|pairs| pairs.0).unwrap_or_default() {
        joined.entry(name).and_modify(|all| *all += &format!(",{value}")).or_insert(value);
    }
    joined
}

/// API Gateway hands these on as they are, and encodes everything else, forms too.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"]
            .contains(&kind.as_str())
}

fn answered(answer: &[u8]) -> Option<Response> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.get("statusCode").is_none() {
        // An answer without a status is taken as the body of a good one.
        return Some(axum::Json(answer).into_response());
    }
    let status = StatusCode::from_u16(u16::try_from(answer["statusCode"].as_u64()?).ok()?).ok()?;
    let text = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).ok()?,
        _ => text.as_bytes().to_vec(),
    };
    let mut response = Response::builder().status(status).body(Body::from(body)).ok()?;
    let headers = response.headers_mut();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        // Its server writes this itself.
        if name != axum::http::header::CONTENT_LENGTH {
            headers.insert(name, HeaderValue::from_str(value.as_str()?).ok()?);
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append(SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_take_what_they_say() {
        let route = |method: Option<&str>, path: Option<&str>| Route {
            method: method.map(str::to_owned),
            path: path.map(str::to_owned),
            function: "Api".to_owned(),
        };
        #[rustfmt::skip]
        let table = [
            (route(Some("POST"), Some("/webhooks/github")), "POST", "/webhooks/github", Some("")),
            (route(Some("POST"), Some("/webhooks/github")), "GET",  "/webhooks/github", None),
            (route(Some("POST"), Some("/webhooks/github")), "POST", "/webhooks",        None),
            (route(None, Some("/runs/{run}")),              "GET",  "/runs/1",          Some("run=1")),
            (route(None, Some("/runs/{run}")),              "GET",  "/runs/1/logs",     None),
            (route(None, Some("/{proxy+}")),                "PUT",  "/a/b/c",           Some("proxy=a/b/c")),
            (route(None, None),                             "GET",  "/whatever",        Some("")),
        ];
        for (route, method, path, expect) in table {
            let found = matches(&route, method, path).map(|parameters| {
                let all: Vec<String> = parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
                all.join(",")
            });
            assert_eq!(found.as_deref(), expect, "{method} {path} by {route:?}");
        }
    }

    #[test]
    fn throttling_lets_a_burst_through_and_then_its_rate() {
        let throttle = Throttle { burst: 3.0, rate: 0.001 };
        let mut bucket = Bucket { throttle, tokens: 3.0, filled: Instant::now() };
        let taken: Vec<bool> = (0..5).map(|_| bucket.take()).collect();
        assert_eq!(taken, [true, true, true, false, false]);
    }
}
