//! Who asks: a bearer token for programs, a one-time link and a cookie for browsers.
//!
//! Only digests of tokens, codes and cookies are kept, so neither a log nor a dump of memory's
//! documents can be used to come in.
mod guard;
mod sessions;

pub(crate) use guard::{
    Caller, Visitor, api_guard, console_guard, cookie, cookie_name, host_guard, security_headers,
};
pub use sessions::{MemSessions, Session, Sessions};

use crate::ops::{Error, random_id};
use crate::v1::LoginLink;
use std::sync::Arc;
use windlass_core::id::Digest;
use windlass_core::time::{MINUTE_MS, SECOND_MS, UnixMs};
use windlass_ports::Fault;

/// A login link can be used once, within this.
pub const LINK_MS: u64 = 60 * SECOND_MS;
/// A session ends after this.
pub const SESSION_MS: u64 = 12 * 60 * MINUTE_MS;

/// Who may come in, and by which names this server is called.
pub struct Auth {
    token: Digest,
    /// Who a bearer is when it does not say: the login that started the server.
    user: String,
    /// `127.0.0.1:8420` and so on; a request for any other host is refused (DNS rebinding).
    hosts: Vec<String>,
    sessions: Arc<dyn Sessions>,
}

impl Auth {
    #[must_use]
    pub fn new(token: &str, user: &str, hosts: Vec<String>, sessions: Arc<dyn Sessions>) -> Self {
        Self { token: Digest::of(token.as_bytes()), user: user.to_owned(), hosts, sessions }
    }

    /// The names under which a server on this machine's own port is called.
    #[must_use]
    pub fn local_hosts(port: u16) -> Vec<String> {
        ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")).to_vec()
    }

    fn knows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    /// Digests of equal length are compared without stopping at the first difference.
    fn is_token(&self, token: &str) -> bool {
        let (given, known) = (Digest::of(token.as_bytes()), &self.token);
        let pairs = given.0.bytes().zip(known.0.bytes());
        given.0.len() == known.0.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }

    /// A link that opens the console as `actor`, once.
    pub(crate) async fn mint(&self, actor: &str, now: UnixMs) -> Result<LoginLink, Error> {
        let code = secret()?;
        let expires_at = now.plus_ms(LINK_MS);
        let session = Session::link(actor, expires_at);
        self.sessions.put(&Digest::of(code.as_bytes()), session).await?;
        Ok(LoginLink { path: format!("/login?code={code}"), expires_at: expires_at.rfc3339() })
    }

    /// A code for a cookie: the code is gone whatever comes of it.
    pub(crate) async fn log_in(&self, code: &str, now: UnixMs) -> Result<Option<String>, Fault> {
        let link = self.sessions.take(&Digest::of(code.as_bytes())).await?;
        let Some(link) = link.filter(|link| link.is_link && now < link.expires_at) else {
            return Ok(None);
        };
        let cookie = secret()?;
        let session = Session {
            actor: link.actor,
            is_link: false,
            form_token: secret()?,
            expires_at: now.plus_ms(SESSION_MS),
        };
        self.sessions.put(&Digest::of(cookie.as_bytes()), session).await?;
        Ok(Some(cookie))
    }

    pub(crate) async fn log_out(&self, cookie: &str) -> Result<(), Fault> {
        self.sessions.take(&Digest::of(cookie.as_bytes())).await.map(|_| ())
    }

    async fn session(&self, cookie: &str, now: UnixMs) -> Result<Option<Session>, Fault> {
        let session = self.sessions.get(&Digest::of(cookie.as_bytes())).await?;
        Ok(session.filter(|session| !session.is_link && now < session.expires_at))
    }
}

fn secret() -> Result<String, Fault> {
    Ok(format!("{}{}", random_id()?, random_id()?))
}
