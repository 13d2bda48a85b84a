//! Who gets in through the gateway: the name it is called by, keys, cookies over TLS, health.
use crate::common::{HOST, World};
use axum::body::Body;
use axum::http::Request;
use std::sync::Arc;
use windlass_ports::fake::{Faults, Faulty};

async fn get(world: &mut World, path: &str, host: &str, token: &str) -> crate::common::Answer {
    let mut request = Request::builder().uri(path).header("host", host);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    world.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_request_passes_the_gates() {
    let mut world = World::demo().await;
    let token = world.bearer().await;
    let browser = world.browser().await;
    let cookie = browser.cookie.split_once('=').unwrap().1.to_owned();
    let (health, stacks) = ("/api/v1/health", "/api/v1/stacks");
    #[rustfmt::skip]
    let table = [
        // name                           path     host              token                     status
        ("health needs no token",         health,  HOST,             "",                       200),
        ("another name than the gateway's", health, "evil.example",  "",                       421),
        ("… with a good token",           stacks,  "evil.example",   token.as_str(),           421),
        ("this machine's own name",       stacks,  "127.0.0.1:8420", token.as_str(),           421),
        ("no token",                      stacks,  HOST,             "",                       401),
        ("a token of one machine",        stacks,  HOST,             "the-token-of-this-server", 401),
        ("a cookie is no token",          stacks,  HOST,             cookie.as_str(),          401),
        ("a token",                       stacks,  HOST,             token.as_str(),           200),
        ("a page without a session",      "/",     HOST,             token.as_str(),           401),
    ];
    for (name, path, host, token, status) in table {
        let answer = get(&mut world, path, host, token).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
    }
}

#[tokio::test]
async fn a_cookie_goes_over_tls_only_and_outlives_its_process() {
    let mut world = World::demo().await;
    let link: api::v1::LoginLink = world.post("/login-links", serde_json::Value::Null).await.to();
    let answer = get(&mut world, &link.path, HOST, "").await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-windlass="), "{set}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert_eq!(get(&mut world, &link.path, HOST, "").await.status, 403, "a link works once");
    // Another process over the same documents knows it.
    world.remount();
    let cookie = set.split(';').next().unwrap().to_owned();
    let browser = crate::common::Browser { cookie, token: String::new() };
    assert_eq!(browser.get(&mut world, "/").await.status, 200);
    world.clock.advance(12 * 3_600_000);
    assert_eq!(browser.get(&mut world, "/").await.status, 401, "a session ends");
}

#[tokio::test]
async fn another_process_hears_of_a_revoked_key_within_a_minute() {
    let mut world = World::demo().await;
    let (id, token) = world.key(api::v1::Role::Reader, "root").await;
    let here = world.router.clone();
    assert_eq!(get(&mut world, "/api/v1/stacks", HOST, &token).await.status, 200);
    world.remount();
    let gone = world.call(axum::http::Method::DELETE, &format!("/keys/{id}"), None).await;
    assert_eq!(gone.status, 200);
    assert_eq!(get(&mut world, "/api/v1/stacks", HOST, &token).await.status, 401);
    world.router = here;
    world.clock.advance(60_000);
    assert_eq!(get(&mut world, "/api/v1/stacks", HOST, &token).await.status, 401);
}

/// What a request costs for being let in: nothing, while its token and its key are remembered.
#[tokio::test]
async fn a_token_costs_two_reads_a_minute() {
    let mut world = World::demo().await;
    let token = world.bearer().await;
    let faults = Faults::none();
    world.remount_over(Arc::new(Faulty::new(world.docs.clone(), &faults)));
    // This list reads no document.
    let secrets = "/api/v1/secrets";
    for (minute, reads) in [(0, 2), (0, 0), (0, 0), (1, 2), (0, 0)] {
        world.clock.advance(minute * 60_000);
        let before = faults.calls();
        assert_eq!(get(&mut world, secrets, HOST, &token).await.status, 200);
        assert_eq!(faults.calls() - before, reads);
    }
}
