//! The gates that every request passes: host, then token or cookie, then (for changes made from a
//! browser) proof that our own page sent it.
use super::Who;
use crate::console;
use crate::http::problem;
use crate::ops::{App, Error};
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// A browser with a session.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) who: Who,
    pub(crate) form_token: String,
}

/// The name by which a gateway in front of this router was called. Whatever mounts the router behind
/// one puts it into each request, from what the gateway itself says, not from a header.
#[derive(Clone, Debug)]
pub struct GatewayHost(pub String);

/// Names the person for whom the CLI acts. Believed of bearers only.
const ACTOR: HeaderName = HeaderName::from_static("windlass-actor");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const ACTOR_CHARS_MAX: usize = 64;

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Exactly one Host that is ours. Whoever makes a browser resolve another name to this machine
/// does not get further than here.
pub(crate) async fn host_guard(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let only = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let told = request.extensions().get::<GatewayHost>();
    let agrees = only.is_some_and(|host| {
        app.deps.auth.knows_host(host, told)
            && authority.is_none_or(|a| a.eq_ignore_ascii_case(host))
    });
    if agrees {
        return next.run(request).await;
    }
    let why = "This server is not called by that name.\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

/// On every answer, errors included.
pub(crate) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // Nothing from elsewhere, nothing inline, no frame around us, forms only to us. `same-origin`
    // keeps the Origin header on our own forms, which `no-referrer` would turn into `null`.
    let csp = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
               object-src 'none'";
    let fixed = [
        (CONTENT_SECURITY_POLICY, csp),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The JSON API: the token, and nothing else. A cookie is no way in, so no page of another site can
/// use it.
pub(crate) async fn api_guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match bearer(request.headers()) {
        Ok((token, actor)) => app.deps.auth.bearer(&app, &token, actor.as_deref()).await,
        Err(error) => Err(error),
    };
    match caller {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(error) => problem(&error),
    }
}

/// The token, and for whom its bearer says to act.
fn bearer(headers: &HeaderMap) -> Result<(String, Option<String>), Error> {
    let token = text(headers, &AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned());
    let token = token.ok_or_else(|| Error::Unauthenticated(super::TOKEN_NEEDED.to_owned()))?;
    let Some(name) = headers.get(&ACTOR) else { return Ok((token, None)) };
    match name.to_str().ok().filter(|name| is_login(name)) {
        Some(name) => Ok((token, Some(name.to_owned()))),
        None => {
            let why = "Windlass-Actor is a login: 1 to 64 letters, digits and . _ - @ + \\ /";
            Err(Error::Invalid(why.to_owned()))
        }
    }
}

/// A login name as systems have them. `windlass` itself is nobody's.
fn is_login(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "._-@+\\/".contains(c);
    (1..=ACTOR_CHARS_MAX).contains(&name.chars().count())
        && name.chars().all(allowed)
        && name != "windlass"
}

/// The console: a session, and for changes a request that our own page sent.
pub(crate) async fn console_guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    if changes(request.method())
        && let Err(why) = same_origin(request.headers())
    {
        return console::plain_error(&Error::NotAllowed(why.to_owned()));
    }
    let auth = &app.deps.auth;
    let cookie = cookie(auth, request.headers()).map(str::to_owned);
    let visitor = match cookie {
        None => None,
        Some(cookie) => match auth.visitor(&app, &cookie).await {
            Ok(visitor) => visitor,
            Err(error) => return console::plain_error(&error),
        },
    };
    let Some(visitor) = visitor else { return console::login_needed() };
    request.extensions_mut().insert(visitor.who.clone());
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Browsers say where a request comes from, and pages can't change what they say. One of the two
/// headers must be there, and neither may disagree.
fn same_origin(headers: &HeaderMap) -> Result<(), &'static str> {
    let site = headers.get(&FETCH_SITE).map(|value| value.to_str().unwrap_or("?"));
    let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("?"));
    let host = text(headers, &HOST).unwrap_or_default();
    let ours = |origin: &str| {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    match (site, origin) {
        (None, None) => Err("A change has to say which page it comes from."),
        (Some(site), _) if site != "same-origin" => Err("That came from another site's page."),
        (_, Some(origin)) if !ours(origin) => Err("That came from another site's page."),
        _ => Ok(()),
    }
}

/// `windlass-8420` for a host with that port.
pub(super) fn cookie_of_port(headers: &HeaderMap) -> String {
    let host = text(headers, &HOST).unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    match port {
        Some(port) => format!("windlass-{port}"),
        None => "windlass".to_owned(),
    }
}

pub(crate) fn cookie<'a>(auth: &super::Auth, headers: &'a HeaderMap) -> Option<&'a str> {
    named(&auth.cookie_name(headers), headers)
}

fn named<'a>(name: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        pairs.flat_map(|value| value.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_change_may_come_from() {
        let host = "127.0.0.1:8420";
        #[rustfmt::skip]
        let table = [
            // name                            site                  origin                           ok
            ("our own form",                   Some("same-origin"),  Some("http://127.0.0.1:8420"),   true),
            ("an older browser",               None,                 Some("http://127.0.0.1:8420"),   true),
            ("a browser without Origin",       Some("same-origin"),  None,                            true),
            ("no word about it",               None,                 None,                            false),
            ("another site",                   Some("cross-site"),   Some("https://evil.example"),    false),
            ("another site, older browser",    None,                 Some("https://evil.example"),    false),
            ("a sandboxed frame",              None,                 Some("null"),                    false),
            ("another port of this machine",   Some("same-site"),    Some("http://127.0.0.1:3000"),   false),
            ("… older browser",                None,                 Some("http://127.0.0.1:3000"),   false),
            ("the other name of this machine", Some("cross-site"),   Some("http://localhost:8420"),   false),
            ("a host that begins like ours",   None,                 Some("http://127.0.0.1:84200"),  false),
            ("typed by hand",                  Some("none"),         None,                            false),
        ];
        for (name, site, origin, ok) in table {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            if let Some(site) = site {
                headers.insert(FETCH_SITE, site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(same_origin(&headers).is_ok(), ok, "{name}");
        }
    }

    #[test]
    fn cookies_are_told_apart_by_port() {
        #[rustfmt::skip]
        let table = [
            ("127.0.0.1:8420", "windlass-8421=b; windlass-8420=a", Some("a")),
            ("[::1]:8421",     "windlass-8421=b; windlass-8420=a", Some("b")),
            ("example.org",    "x=y; windlass=c",                  Some("c")),
            ("[::1]",          "windlass=c",                       Some("c")),
            ("127.0.0.1:9",    "windlass-8420=a",                  None),
        ];
        for (host, cookies, expect) in table {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.insert(COOKIE, cookies.parse().unwrap());
            assert_eq!(named(&cookie_of_port(&headers), &headers), expect, "{host}");
        }
    }

    #[test]
    fn logins() {
        let long = "x".repeat(65);
        #[rustfmt::skip]
        let table = [
            ("ada", true), ("CORP\\ada", true), ("ada@example.org", true), ("zoë", true),
            ("", false), ("windlass", false), ("a b", false), ("<b>", false), (long.as_str(), false),
        ];
        for (name, ok) in table {
            assert_eq!(is_login(name), ok, "{name}");
        }
    }
}
