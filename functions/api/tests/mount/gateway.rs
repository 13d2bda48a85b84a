//! The router behind API Gateway: each request becomes an event as an HTTP API sends it (payload
//! version 2.0), and the function's answer a response again.
use api::auth::DocSessions;
use api::{Auth, Deps};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, HOST as HOST_HEADER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Service as _};
use serde_json::{Value, json};
use std::sync::Arc;
use windlass_ports::{Clock, Docs};

pub(crate) const HOST: &str = "console.example.org";
/// There is none: who asks has a key.
pub(crate) const TOKEN: Option<&str> = None;
/// By the API's own rule; the gateway's limit is ten times that.
const ANSWER_BYTES_MAX: usize = 1_000_000;

pub(crate) fn auth(docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Auth {
    Auth::cloud(Arc::new(DocSessions::new(docs, clock)))
}

pub(crate) fn router(deps: Deps) -> Router {
    api::behind_gateway(api::router(deps))
}

pub(crate) async fn call(
    router: Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    let event: LambdaRequest = serde_json::from_value(event(request).await).expect("an event");
    let mut function: Adapter<'_, Response, Router> = Adapter::from(router);
    let answer = function.call(LambdaEvent::new(event, Context::default())).await;
    response(&serde_json::to_value(answer.expect("infallible")).expect("JSON"))
}

async fn event(request: Request<Body>) -> Value {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 * 1024 * 1024).await.expect("a body");
    let (mut headers, mut cookies) = (serde_json::Map::new(), Vec::new());
    for name in parts.headers.keys() {
        let values = parts.headers.get_all(name).iter().map(|v| v.to_str().expect("text"));
        let joined = values.collect::<Vec<_>>().join(",");
        if name == COOKIE {
            cookies.extend(joined.split("; ").map(|cookie| json!(cookie)));
        } else {
            headers.insert(name.to_string(), joined.into());
        }
    }
    headers.insert("x-forwarded-proto".into(), "https".into());
    let host = parts.headers.get(HOST_HEADER).and_then(|host| host.to_str().ok());
    // The gateway sends forms as it sends anything that it does not take for text.
    let is_form = parts.headers.get("content-type").is_some_and(|kind| kind != "application/json");
    let text = match is_form {
        true => STANDARD.encode(&body),
        false => String::from_utf8(body.to_vec()).expect("UTF-8"),
    };
    let path = parts.uri.path();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "cookies": cookies,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": host.filter(|host| *host == HOST).unwrap_or(HOST),
            "domainPrefix": "console",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test"
            },
            "requestId": "id=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:10:15:00 +0000",
            "timeEpoch": 1_795_342_500_000_u64
        },
        "body": text,
        "isBase64Encoded": is_form,
    })
}

fn response(answer: &Value) -> (StatusCode, HeaderMap, String) {
    let status = answer["statusCode"].as_u64().and_then(|code| u16::try_from(code).ok());
    let mut headers = HeaderMap::new();
    for field in ["headers", "multiValueHeaders"] {
        for (name, value) in answer[field].as_object().into_iter().flatten() {
            let value = value.as_str().or_else(|| value[0].as_str()).expect("a header");
            let name: HeaderName = name.parse().expect("a header's name");
            headers.insert(name, value.parse().expect("a header's value"));
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        let cookie = HeaderValue::from_str(cookie.as_str().expect("a cookie")).expect("a cookie");
        headers.append(SET_COOKIE, cookie);
    }
    let text = answer["body"].as_str().unwrap_or_default();
    assert!(text.len() <= ANSWER_BYTES_MAX, "an answer of {} bytes", text.len());
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => String::from_utf8(STANDARD.decode(text).expect("base64")).expect("UTF-8"),
        _ => text.to_owned(),
    };
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).expect("a status");
    (status, headers, body)
}
