//! The router as `up` mounts it.
#![allow(dead_code, reason = "each crate uses its part")]
use api::auth::MemSessions;
use api::{Auth, Deps};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use std::sync::Arc;
use tower::ServiceExt as _;
use windlass_ports::{Clock, Docs};

pub(crate) const HOST: &str = "127.0.0.1:8420";
/// This server's own.
pub(crate) const TOKEN: Option<&str> = Some("the-token-of-this-server");

pub(crate) fn auth(_docs: Arc<dyn Docs>, clock: Arc<dyn Clock>) -> Auth {
    let sessions = Arc::new(MemSessions::new(clock));
    Auth::new(TOKEN.unwrap_or_default(), "ada", Auth::local_hosts(8420), sessions)
}

pub(crate) fn router(deps: Deps) -> Router {
    api::router(deps)
}

pub(crate) async fn call(
    router: Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, String) {
    let response = router.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 8 * 1024 * 1024).await.expect("a body");
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
}
