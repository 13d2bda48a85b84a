//! Who gets in: hosts, tokens, links, cookies, and forms of other people's pages.
use crate::common::{Browser, HOST, World};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

const TOKEN: &str = "the-token-of-this-server";

async fn raw(
    world: &mut World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> crate::common::Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::empty()).expect("a request")).await
}

/// Name, method, path, headers, status.
type Row<'a> = (&'a str, &'a str, &'a str, Vec<(&'a str, &'a str)>, u16);

#[tokio::test]
async fn every_request_passes_the_gates() {
    let mut world = World::demo().await;
    let browser = world.browser().await;
    let bearer = format!("Bearer {TOKEN}");
    let (bearer, cookie) = (bearer.as_str(), browser.cookie.as_str());
    let host = ("host", HOST);
    #[rustfmt::skip]
    let table: Vec<Row<'_>> = vec![
        // name                              method   path                     headers                                             status
        ("health needs no token",            "GET",   "/api/v1/health",        vec![host],                                         200),
        ("… but the right host",             "GET",   "/api/v1/health",        vec![("host", "evil.example")],                     421),
        ("no host at all",                   "GET",   "/api/v1/health",        vec![],                                             421),
        ("two hosts",                        "GET",   "/api/v1/health",        vec![host, ("host", "evil.example")],               421),
        ("another port",                     "GET",   "/api/v1/health",        vec![("host", "127.0.0.1:80")],                     421),
        ("the other names of this machine",  "GET",   "/api/v1/health",        vec![("host", "LOCALHOST:8420")],                   200),
        ("… and IPv6",                       "GET",   "/api/v1/health",        vec![("host", "[::1]:8420")],                       200),
        ("a target of another host",         "GET",   "http://evil.example/",  vec![host],                                         421),
        ("rebinding with a good token",      "GET",   "/api/v1/stacks",        vec![("host", "evil.example"), ("authorization", bearer)], 421),
        ("no token",                         "GET",   "/api/v1/stacks",        vec![host],                                         401),
        ("a wrong token",                    "GET",   "/api/v1/stacks",        vec![host, ("authorization", "Bearer the-token-of-this-serveR")], 401),
        ("a shorter token",                  "GET",   "/api/v1/stacks",        vec![host, ("authorization", "Bearer t")],          401),
        ("an empty token",                   "GET",   "/api/v1/stacks",        vec![host, ("authorization", "Bearer ")],           401),
        ("another scheme",                   "GET",   "/api/v1/stacks",        vec![host, ("authorization", "Basic dGhlLXRva2Vu")], 401),
        ("the token",                        "GET",   "/api/v1/stacks",        vec![host, ("authorization", bearer)],              200),
        ("the scheme in small letters",      "GET",   "/api/v1/stacks",        vec![host, ("authorization", "bearer the-token-of-this-server")], 200),
        ("a cookie is no token",             "GET",   "/api/v1/stacks",        vec![host, ("cookie", cookie)],                     401),
        ("… for no change either",           "POST",  "/api/v1/stacks/network/lock", vec![host, ("cookie", cookie), ("sec-fetch-site", "same-origin")], 401),
        ("an actor that is no login",        "GET",   "/api/v1/stacks",        vec![host, ("authorization", bearer), ("windlass-actor", "<b>")], 422),
        ("the console wants a session",      "GET",   "/",                     vec![host],                                         401),
        ("… the token is none",              "GET",   "/",                     vec![host, ("authorization", bearer)],              401),
        ("… a made-up one is none",          "GET",   "/",                     vec![host, ("cookie", "windlass-8420=0000")],       401),
        ("… of another port is none",        "GET",   "/",                     vec![host, ("cookie", "windlass-8421=0000")],       401),
        ("a session",                        "GET",   "/",                     vec![host, ("cookie", cookie)],                     200),
        ("nothing there, for programs",      "GET",   "/api/v1/nowhere",       vec![host],                                         404),
        ("nothing there, for people",        "GET",   "/nowhere",              vec![host],                                         404),
        ("an address that is no text",       "GET",   "/runs/%ff",             vec![host, ("cookie", cookie)],                     422),
        ("a method that is not",             "PATCH", "/api/v1/stacks",        vec![host, ("authorization", bearer)],              405),
        ("an asset of another digest",       "GET",   "/assets/000/app.css",   vec![host],                                         404),
    ];
    for (name, method, path, headers, status) in table {
        let answer = raw(&mut world, method, path, &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        let csp = answer.header("content-security-policy");
        assert!(csp.starts_with("default-src 'self'; "), "{name}: {csp}");
        assert!(!csp.contains("unsafe"), "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        assert!(
            !answer.body.contains(TOKEN) && !answer.body.contains(&browser.token) || path == "/",
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_actor_is_who_the_bearer_says_or_the_servers_own_user() {
    let mut world = World::demo().await;
    let bearer = format!("Bearer {TOKEN}");
    for (stack, actor, expect) in [("network", None, "ada"), ("cluster", Some("grace"), "grace")] {
        let mut headers = vec![("host", HOST), ("authorization", bearer.as_str())];
        headers.extend(actor.map(|actor| ("windlass-actor", actor)));
        let path = format!("/api/v1/stacks/{stack}/lock");
        let answer = raw(&mut world, "POST", &path, &headers).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(world.head(stack).await.lock.unwrap().by, expect);
    }
}

#[tokio::test]
async fn a_link_works_once_and_for_a_minute() {
    let mut world = World::demo().await;
    let link = |answer: crate::common::Answer| answer.to::<api::v1::LoginLink>().path;
    let (used, late) = (
        link(world.post("/login-links", serde_json::Value::Null).await),
        link(world.post("/login-links", serde_json::Value::Null).await),
    );
    let nobody = Browser { cookie: String::new(), token: String::new() };
    // Whoever only looks whether the link is there does not use it up.
    let look = Request::head(&used).header("host", HOST).body(Body::empty()).unwrap();
    assert_eq!(world.send(look).await.header("set-cookie"), "");
    let first = nobody.get(&mut world, &used).await;
    assert_eq!(first.status, StatusCode::OK);
    let set = first.header("set-cookie").to_owned();
    assert!(set.starts_with("windlass-8420="), "{set}");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    world.clock.advance(60_000);
    for (name, path) in [
        ("a second time", used.as_str()),
        ("after a minute", late.as_str()),
        ("a guess", "/login?code=0000"),
    ] {
        let answer = nobody.get(&mut world, path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(answer.header("set-cookie"), "", "{name}");
        assert!(answer.body.contains("does not work any more"), "{name}");
    }
    assert_eq!(nobody.get(&mut world, "/login").await.status, StatusCode::UNAUTHORIZED);

    let browser =
        Browser { cookie: set.split(';').next().unwrap().to_owned(), token: String::new() };
    assert_eq!(browser.get(&mut world, "/").await.status, StatusCode::OK);
    world.clock.advance(12 * 3_600_000);
    let over = browser.get(&mut world, "/").await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED, "a session ends");
}

#[tokio::test]
async fn logging_out_ends_the_session() {
    let mut world = World::demo().await;
    let browser = world.browser().await;
    let answer = browser.submit(&mut world, "/logout", &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get(&mut world, "/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_form_of_another_page_changes_nothing() {
    let mut world = World::demo().await;
    let browser = world.browser().await;
    let other = world.browser().await;
    let ours = format!("http://{HOST}");
    let token = |browser: &Browser| format!("token={}", browser.token);
    #[rustfmt::skip]
    let table = [
        // name                               site                 origin                         body              status
        ("another site",                      Some("cross-site"),  Some("https://evil.example"),  token(&browser),  403),
        ("another port of this machine",      Some("same-site"),   Some("http://127.0.0.1:3000"), token(&browser),  403),
        ("no word of where it comes from",    None,                None,                          token(&browser),  403),
        ("a sandbox",                         None,                Some("null"),                  token(&browser),  403),
        ("ours, without the token",           Some("same-origin"), Some(ours.as_str()),           String::new(),    403),
        ("ours, with another session's",      Some("same-origin"), Some(ours.as_str()),           token(&other),    403),
        ("ours, with a token and no cookie",  Some("same-origin"), Some(ours.as_str()),           token(&browser),  401),
        ("ours",                              Some("same-origin"), Some(ours.as_str()),           token(&browser),  303),
    ];
    for (name, site, origin, body, status) in table {
        let sender = match status {
            401 => Browser { cookie: String::new(), ..browser.clone() },
            _ => browser.clone(),
        };
        let answer =
            sender.submit_raw(&mut world, "/stacks/network/lock", &body, site, origin).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.body);
        let locked = world.head("network").await.lock.is_some();
        assert_eq!(locked, status == 303, "{name}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let mut world = World::demo().await;
    let note = "x".repeat(1_100_000);
    let answer = world.post("/stacks/network/lock", serde_json::json!({ "note": note })).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["message"], "a request has at most 1 MiB");
    assert_eq!(world.get("/runs/%ff").await.json()["message"], "the address does not parse");
    #[rustfmt::skip]
    let table = [
        ("no JSON",           "{",                                 "the body is not JSON (line 1, column 1)"),
        ("an unknown field",  r#"{"colour": 1}"#,                  "the body is not what this address takes (line 1, column 9)"),
        ("a long note",       &serde_json::json!({"note": "x".repeat(1_001)}).to_string(), "a note has at most 1000 characters"),
    ];
    for (name, body, expect) in table {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/stacks/network/lock")
            .header("host", HOST)
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = world.send(request).await;
        assert_eq!(answer.status.as_u16(), 422, "{name}");
        assert_eq!(answer.json()["message"], *expect, "{name}");
    }
}
