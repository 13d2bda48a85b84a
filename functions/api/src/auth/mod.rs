//! Who asks, and what they may do: this machine's own token, API keys exchanged for short tokens,
//! and for browsers a one-time link and a cookie.
//!
//! Only digests of secrets, tokens, codes and cookies are kept, so neither a log nor a dump of the
//! documents can be used to come in. A token is a document of its own rather than a signed text:
//! there is no signing key whose reader could be anybody. Each process asks the store about a token
//! and its key once a minute, not once a request; so that long is the most that a revoked key still
//! works.
mod guard;
mod keys;
mod remembered;
mod sessions;
mod who;

pub use guard::GatewayHost;
pub(crate) use guard::{Visitor, api_guard, console_guard, cookie, host_guard, security_headers};
pub use keys::bootstrap_key;
pub(crate) use keys::{find_key, is_key_id, key_view, new_key};
pub use sessions::{DocSessions, KeptSessions, Kind, MemSessions, Place, Session, Sessions};
pub(crate) use who::{Admin, Seen, Tree, Who, Writer};

use crate::ops::{App, Error};
use crate::v1::{LoginLink, TokenView};
use axum::http::HeaderMap;
use remembered::Remembered;
use sessions::ticket;
use std::sync::Arc;
use windlass_core::access::{ApiKey, Grant, ROOT_SPACE, Role};
use windlass_core::id::Digest;
use windlass_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use windlass_ports::Fault;

/// A login link can be used once, within this.
pub const LINK_MS: u64 = 60 * SECOND_MS;
/// A session ends after this.
pub const SESSION_MS: u64 = 12 * 60 * MINUTE_MS;
/// A token ends after this; its key makes another.
pub const TOKEN_MS: u64 = 60 * MINUTE_MS;

/// Who may come in, and by which names this server is called.
pub struct Auth {
    local: Option<Local>,
    hosts: Hosts,
    sessions: Arc<dyn Sessions>,
    tokens: Remembered<Session>,
    keys: Remembered<ApiKey>,
}

/// This machine's own token: an admin of everything.
struct Local {
    token: Digest,
    /// Who a bearer is when it does not say: the login that started the server.
    user: String,
}

enum Hosts {
    /// `127.0.0.1:8420` and so on; a request for any other host is refused (DNS rebinding).
    Named(Vec<String>),
    /// The name by which the gateway was called, which the mount tells ([`GatewayHost`]). It is
    /// spoken to over TLS only.
    Gateway,
}

impl Auth {
    /// On one machine: its token, and API keys beside it.
    #[must_use]
    pub fn new(token: &str, user: &str, hosts: Vec<String>, sessions: Arc<dyn Sessions>) -> Self {
        let local = Local { token: Digest::of(token.as_bytes()), user: user.to_owned() };
        Self::with(Some(local), Hosts::Named(hosts), sessions)
    }

    /// Behind a gateway: API keys only.
    #[must_use]
    pub fn cloud(sessions: Arc<dyn Sessions>) -> Self {
        Self::with(None, Hosts::Gateway, sessions)
    }

    fn with(local: Option<Local>, hosts: Hosts, sessions: Arc<dyn Sessions>) -> Self {
        let (tokens, keys) = (Remembered::default(), Remembered::default());
        Self { local, hosts, sessions, tokens, keys }
    }

    /// The names under which a server on this machine's own port is called.
    #[must_use]
    pub fn local_hosts(port: u16) -> Vec<String> {
        ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")).to_vec()
    }

    fn knows_host(&self, host: &str, told: Option<&GatewayHost>) -> bool {
        match &self.hosts {
            Hosts::Named(hosts) => hosts.iter().any(|known| known.eq_ignore_ascii_case(host)),
            Hosts::Gateway => told.is_some_and(|told| told.0.eq_ignore_ascii_case(host)),
        }
    }

    fn is_https(&self) -> bool {
        matches!(self.hosts, Hosts::Gateway)
    }

    /// Cookies don't know ports: two servers on one machine need two names. Over TLS the prefix has
    /// the browser hold that the cookie is from this very host.
    fn cookie_name(&self, headers: &HeaderMap) -> String {
        if self.is_https() { "__Host-windlass".to_owned() } else { guard::cookie_of_port(headers) }
    }

    /// The header that gives a browser its cookie, or takes it away.
    pub(crate) fn set_cookie(&self, headers: &HeaderMap, value: Option<&str>) -> String {
        let name = self.cookie_name(headers);
        let secure = if self.is_https() { "; Secure" } else { "" };
        let age_s = value.map_or(0, |_| SESSION_MS / 1_000);
        let value = value.unwrap_or_default();
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}")
    }

    /// The local token, or one that a key was exchanged for. `actor` is believed of the former.
    async fn bearer(&self, app: &App, token: &str, actor: Option<&str>) -> Result<Who, Error> {
        if let Some(local) = self.local.as_ref().filter(|local| same(&local.token, token)) {
            let actor = actor.unwrap_or(&local.user).to_owned();
            return Ok(Who::new(actor, everything(), None, Arc::default()));
        }
        let wrong = || Error::Unauthenticated(TOKEN_NEEDED.to_owned());
        let place = Place::of(token).ok_or_else(wrong)?;
        let now = app.now();
        let session = match self.tokens.get(place.as_str(), now) {
            Some(known) => known,
            None => {
                let found = self.sessions.get(&place).await?.ok_or_else(wrong)?;
                self.tokens.put(place.as_str(), now, found.clone());
                found
            }
        };
        self.who(app, session, Kind::Token).await?.ok_or_else(wrong)
    }

    /// The person behind a cookie.
    async fn visitor(&self, app: &App, cookie: &str) -> Result<Option<Visitor>, Error> {
        let Some(place) = Place::of(cookie) else { return Ok(None) };
        let Some(session) = self.sessions.get(&place).await? else { return Ok(None) };
        let who = self.who(app, session, Kind::Browser).await?;
        Ok(who.map(|who| Visitor { who, form_token: form_token(cookie) }))
    }

    /// None: the session has ended, is of another kind, or its key was revoked.
    async fn who(&self, app: &App, session: Session, kind: Kind) -> Result<Option<Who>, Error> {
        if session.kind != kind || session.expires_at <= app.now() {
            return Ok(None);
        }
        let Some(id) = session.key else {
            return Ok(Some(Who::new(session.actor, everything(), None, Arc::default())));
        };
        let Some(key) = self.live_key(app, &id).await? else { return Ok(None) };
        let tree = match key.grant.is_everywhere() {
            true => Arc::default(),
            false => app.spaces.tree(app).await?,
        };
        Ok(Some(Who::new(session.actor, key.grant, Some(id), tree)))
    }

    /// The key, unless it was revoked more than a minute ago.
    async fn live_key(&self, app: &App, id: &str) -> Result<Option<ApiKey>, Fault> {
        let now = app.now();
        if let Some(known) = self.keys.get(id, now) {
            return Ok(Some(known));
        }
        let found = find_key(&*app.deps.docs, id).await?.filter(|key| key.revoked_at.is_none());
        if let Some(key) = &found {
            self.keys.put(id, now, key.clone());
        }
        Ok(found)
    }

    /// It was just revoked here: this process need not ask.
    pub(crate) fn forget_key(&self, id: &str) {
        self.keys.forget(id);
    }

    /// A key for a token. A wrong secret, an unknown id and a revoked key are told alike.
    pub(crate) async fn exchange(
        &self,
        app: &App,
        id: &str,
        secret: &str,
    ) -> Result<TokenView, Error> {
        let (docs, now) = (&*app.deps.docs, app.now());
        let found = if is_key_id(id) { find_key(docs, id).await? } else { None };
        let fits = found.filter(|key| same(&key.secret, secret) && key.revoked_at.is_none());
        let Some(key) = fits else {
            let why = "this id and this secret are no key that works";
            return Err(Error::Unauthenticated(why.to_owned()));
        };
        let actor = keys::actor_of(&key.id);
        let token = self.give(Kind::Token, &actor, Some(&key.id), now.plus_ms(TOKEN_MS)).await?;
        keys::mark_used(docs, &key, now).await;
        Ok(TokenView {
            token,
            expires_at: now.plus_ms(TOKEN_MS).rfc3339(),
            actor,
            role: key.grant.role,
            space: key.grant.space.0,
        })
    }

    async fn give(
        &self,
        kind: Kind,
        actor: &str,
        key: Option<&str>,
        expires_at: UnixMs,
    ) -> Result<String, Error> {
        let text = ticket(expires_at)?;
        let session =
            Session { kind, actor: actor.to_owned(), key: key.map(str::to_owned), expires_at };
        let place = Place::of(&text).ok_or_else(|| Fault::poison("a ticket has no place"))?;
        self.sessions.put(&place, session).await?;
        Ok(text)
    }

    /// A link that opens the console for this caller, once.
    pub(crate) async fn mint(&self, app: &App, who: &Who) -> Result<LoginLink, Error> {
        let expires_at = app.now().plus_ms(LINK_MS);
        let code = self.give(Kind::Link, &who.actor, who.key(), expires_at).await?;
        Ok(LoginLink { path: format!("/login?code={code}"), expires_at: expires_at.rfc3339() })
    }

    /// A code for a cookie: the code is gone whatever comes of it.
    pub(crate) async fn log_in(&self, code: &str, now: UnixMs) -> Result<Option<String>, Error> {
        let Some(place) = Place::of(code) else { return Ok(None) };
        let link = self.sessions.take(&place).await?;
        let link = link.filter(|link| link.kind == Kind::Link && now < link.expires_at);
        let Some(link) = link else { return Ok(None) };
        let until = now.plus_ms(SESSION_MS);
        self.give(Kind::Browser, &link.actor, link.key.as_deref(), until).await.map(Some)
    }

    pub(crate) async fn log_out(&self, cookie: &str) -> Result<(), Fault> {
        let Some(place) = Place::of(cookie) else { return Ok(()) };
        self.sessions.take(&place).await.map(|_| ())
    }
}

const TOKEN_NEEDED: &str = "this needs a token that works: Authorization: Bearer …";

fn everything() -> Grant {
    Grant { role: Role::Admin, space: ROOT_SPACE.into() }
}

/// Digests of equal length are compared without stopping at the first difference.
fn same(known: &Digest, given: &str) -> bool {
    let given = Digest::of(given.as_bytes());
    let pairs = given.0.bytes().zip(known.0.bytes());
    given.0.len() == known.0.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Every form of a session carries it. It follows from the cookie, which no other page can read.
fn form_token(cookie: &str) -> String {
    Digest::of(format!("form of {cookie}").as_bytes()).0
}
