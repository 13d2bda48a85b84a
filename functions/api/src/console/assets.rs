//! The one style sheet, the one script and the icon. Their names carry their digest, so a browser
//! may keep them for good and never has an old one.
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;
use windlass_core::id::Digest;

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static str,
}

const ALL: [Asset; 3] = [
    Asset {
        name: "app.css",
        kind: "text/css; charset=utf-8",
        body: include_str!("assets/app.css"),
    },
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        body: include_str!("assets/app.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", body: include_str!("assets/icon.svg") },
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let all = ALL.map(|asset| asset.body).concat();
    Digest::of(all.as_bytes()).short().to_owned()
});

pub(super) fn url(name: &str) -> String {
    format!("/assets/{}/{name}", *DIGEST)
}

pub(super) async fn serve(Path((digest, name)): Path<(String, String)>) -> Response {
    let found = ALL.iter().find(|asset| asset.name == name && digest == *DIGEST);
    let Some(asset) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, asset.body).into_response()
}
