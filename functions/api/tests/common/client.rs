//! Requests as the CLI and as a browser send them, answered while the scheduler goes on.
use super::{HOST, World, mount};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST as HOST_HEADER, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use windlass_core::access::{ApiKey, Grant, ROOT_SPACE, Role};
use windlass_core::id::Digest;
use windlass_core::keys;
use windlass_ports::cas;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
    pub(crate) fn to<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl World {
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        let router = self.router.clone();
        let mut answer = std::pin::pin!(async move {
            let (status, headers, body) = mount::call(router, request).await;
            // Who comes with the key of `bearer` is called like the user of one machine, so that
            // both mounts say the same.
            Answer { status, headers, body: body.replace("api::ada", "ada") }
        });
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {}
            }
            while self.step().await {}
        }
    }

    /// As the CLI: with the token.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }
    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let token = self.bearer().await;
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST_HEADER, HOST)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(body.map_or(Body::empty(), |body| Body::from(body.to_string())))
            .expect("a request");
        self.send(request).await
    }

    /// Of an admin of everything: the server's own, or one for the key of somebody called ada.
    pub(crate) async fn bearer(&mut self) -> String {
        if let Some(token) = mount::TOKEN {
            return token.to_owned();
        }
        let now = self.now();
        if let Some((token, _)) = self.token.as_ref().filter(|(_, at)| now.0 < at.0 + 1_800_000) {
            return token.clone();
        }
        let secret = "5".repeat(64);
        let grant = Grant { role: Role::Admin, space: ROOT_SPACE.into() };
        let key = ApiKey {
            id: "ada".to_owned(),
            name: "Ada".to_owned(),
            secret: Digest::of(secret.as_bytes()),
            grant,
            created_by: "windlass".to_owned(),
            created_at: now,
            revoked_by: None,
            revoked_at: None,
            last_used: None,
        };
        cas::create(&*self.docs, &keys::api_key("ada"), "ada's key", &key).await.expect("created");
        let body = serde_json::json!({ "id": "ada", "secret": secret }).to_string();
        let request = Request::post("/api/v1/tokens").header(HOST_HEADER, HOST);
        let request = request.body(Body::from(body)).expect("a request");
        let token: api::v1::TokenView = self.send(request).await.to();
        self.token = Some((token.token.clone(), now));
        token.token
    }

    /// A new key, and a token that it was exchanged for.
    pub(crate) async fn key(&mut self, role: api::v1::Role, space: &str) -> (String, String) {
        let name = format!("{} on {space}", role.as_str());
        let request = serde_json::json!({ "name": name, "role": role, "space": space });
        let made: api::v1::NewKeyView = self.post("/keys", request).await.to();
        let exchange = serde_json::json!({ "id": made.key.id, "secret": made.secret });
        let token: api::v1::TokenView = self.post("/tokens", exchange).await.to();
        (made.key.id, token.token)
    }

    /// A browser that came in by a login link.
    pub(crate) async fn browser(&mut self) -> Browser {
        let token = self.bearer().await;
        self.browser_of(&token).await
    }
    pub(crate) async fn browser_of(&mut self, token: &str) -> Browser {
        let request = Request::post("/api/v1/login-links")
            .header(HOST_HEADER, HOST)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .expect("a request");
        let link: api::v1::LoginLink = self.send(request).await.to();
        let mut browser = Browser { cookie: String::new(), token: String::new() };
        let answer = browser.get(self, &link.path).await;
        let set = answer.header(SET_COOKIE.as_str()).to_owned();
        browser.cookie = set.split(';').next().expect("a cookie").to_owned();
        let page = browser.get(self, "/").await;
        let from = page.body.find("name=\"token\" value=\"").expect("a token") + 20;
        browser.token = page.body[from..].split('"').next().expect("a token").to_owned();
        browser
    }
}

/// A cookie, and the token that its forms carry.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) token: String,
}

impl Browser {
    pub(crate) async fn get(&self, world: &mut World, path: &str) -> Answer {
        let request = Request::builder()
            .uri(path)
            .header(HOST_HEADER, HOST)
            .header(COOKIE, &self.cookie)
            .body(Body::empty())
            .expect("a request");
        world.send(request).await
    }

    /// A form of one of our pages.
    pub(crate) async fn submit(
        &self,
        world: &mut World,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut body = format!("token={}", self.token);
        for (name, value) in fields {
            body.push_str(&format!("&{name}={}", encode(value)));
        }
        self.submit_raw(world, path, &body, Some("same-origin"), Some(&format!("http://{HOST}")))
            .await
    }

    pub(crate) async fn submit_raw(
        &self,
        world: &mut World,
        path: &str,
        body: &str,
        site: Option<&str>,
        origin: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST_HEADER, HOST)
            .header(COOKIE, &self.cookie)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        world.send(request.body(Body::from(body.to_owned())).expect("a request")).await
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
