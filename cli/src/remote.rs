//! A server elsewhere: its address, and the key whose short tokens are kept between commands.
use crate::exit::Failure;
use crate::up::folder::replace;
use api::v1::TokenView;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::id::Digest;
use windlass_core::time::{MINUTE_MS, UnixMs};

pub(crate) const KEY_ID: &str = "WINDLASS_API_KEY_ID";
pub(crate) const KEY_SECRET: &str = "WINDLASS_API_KEY_SECRET";
/// A token with less left than this is not used any more: the request takes time, too.
const LEFT_MS: u64 = MINUTE_MS;

/// Scheme, host and port. A key and its tokens travel over nothing that others can read, so plain
/// HTTP is for this machine alone.
pub(crate) fn base(url: &str) -> Result<String, Failure> {
    let wrong =
        |why: &str| Err(Failure::usage(format!("--url takes https://HOST, not `{url}`: {why}")));
    let trimmed = url.trim_end_matches('/');
    let Some((scheme, address)) = trimmed.split_once("://") else {
        return wrong("it says no scheme");
    };
    let host = address
        .rsplit_once(':')
        .map_or(address, |(host, port)| if port.parse::<u16>().is_ok() { host } else { address });
    let here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    let usual = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !address.chars().all(usual) {
        return wrong("it has more than a host and a port");
    }
    match scheme {
        "https" => Ok(trimmed.to_owned()),
        "http" if here => Ok(trimmed.to_owned()),
        "http" => wrong("a key goes only over TLS"),
        _ => wrong("that is no scheme for it"),
    }
}

/// A key from the environment: never from arguments, which everybody on the machine can read.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    secret: String,
    /// Where its token is kept; none: in this process only.
    file: Option<PathBuf>,
    token: Arc<Mutex<Option<TokenView>>>,
}

impl Key {
    /// `env` gives the value of a variable.
    pub(crate) fn from_env(
        base: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let get = |name: &str| {
            env(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                Failure::usage(format!(
                    "{base} needs an API key: set {KEY_ID} and {KEY_SECRET}, as `windlass key \
                     create` printed them"
                ))
            })
        };
        let (id, secret) = (get(KEY_ID)?, get(KEY_SECRET)?);
        let name = Digest::of(format!("{base} {id}").as_bytes());
        let folder = cache_folder(env).map(|folder| folder.join("tokens"));
        let file = folder.map(|folder| folder.join(format!("{}.json", name.short())));
        Ok(Self { id, secret, file, token: Arc::default() })
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// A token that still works, as far as can be told from here.
    pub(crate) fn kept(&self, now: UnixMs) -> Option<String> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if token.is_none() {
            let text = self.file.as_ref().and_then(|file| std::fs::read(file).ok());
            *token = text.and_then(|text| serde_json::from_slice(&text).ok());
        }
        let until = UnixMs(now.0 + LEFT_MS).rfc3339();
        // Both are RFC 3339 in UTC to the millisecond: they sort as they are.
        token.as_ref().filter(|token| token.expires_at > until).map(|token| token.token.clone())
    }

    /// A new one. That it can't be kept only costs another exchange.
    pub(crate) fn keep(&self, fresh: TokenView) {
        if let Some(file) = &self.file {
            let folder = file.parent().map(std::path::Path::to_owned).unwrap_or_default();
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            if let Ok(text) = serde_json::to_vec(&fresh) {
                let _ = replace(file, &text);
            }
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
    }

    /// The server does not take it.
    pub(crate) fn forget(&self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where this user's files lie that may be gone at any time.
pub(crate) fn cache_folder(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return Some(absolute("HOME")?.join("Library/Caches/windlass"));
    }
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("windlass"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_goes_only_where_nobody_listens() {
        #[rustfmt::skip]
        let table = [
            ("https://console.example.org",       Some("https://console.example.org")),
            ("https://console.example.org/",      Some("https://console.example.org")),
            ("https://example.org:8443",          Some("https://example.org:8443")),
            ("http://127.0.0.1:8420",             Some("http://127.0.0.1:8420")),
            ("http://localhost:8420",             Some("http://localhost:8420")),
            ("http://[::1]:8420",                 Some("http://[::1]:8420")),
            ("http://example.org",                None),
            ("http://127.0.0.1.example.org",      None),
            ("http://127.0.0.1@example.org",      None),
            ("https://u:p@example.org",           None),
            ("https://example.org/prod",          None),
            ("https://",                          None),
            ("ftp://example.org",                 None),
            ("example.org",                       None),
        ];
        for (url, expect) in table {
            let got = base(url);
            assert_eq!(got.as_deref().ok(), expect, "{url}");
            assert!(got.is_ok() || got.is_err_and(|failure| failure.exit == Exit::Usage), "{url}");
        }
    }

    #[test]
    fn a_token_is_kept_privately_until_it_is_old() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().to_str().unwrap().to_owned();
        let env = |name: &str| match name {
            "HOME" | "XDG_CACHE_HOME" => Some(home.clone()),
            KEY_ID => Some("ci-1".to_owned()),
            KEY_SECRET => Some("hush-hush".to_owned()),
            _ => None,
        };
        let key = Key::from_env("https://example.org", env).unwrap();
        let now = UnixMs(1_795_342_500_000);
        assert_eq!(key.kept(now), None);
        let token = TokenView {
            token: "t-1".to_owned(),
            expires_at: UnixMs(now.0 + 3_600_000).rfc3339(),
            actor: "api::ci-1".to_owned(),
            role: api::v1::Role::Reader,
            space: "root".to_owned(),
        };
        key.keep(token);
        // Another process finds it; one of another server does not.
        let again = Key::from_env("https://example.org", env).unwrap();
        assert_eq!(again.kept(now).as_deref(), Some("t-1"));
        assert_eq!(Key::from_env("https://other.example", env).unwrap().kept(now), None);
        let file = again.file.clone().unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("hush"), "the key itself is not kept: {text}");
        assert_eq!(again.kept(UnixMs(now.0 + 3_599_000)), None, "a second is too little");
        again.forget();
        assert!(!file.exists());
        assert_eq!(again.kept(now), None);
    }

    #[test]
    fn without_a_key_it_says_what_to_set() {
        for missing in [KEY_ID, KEY_SECRET] {
            let env = |name: &str| (name != missing).then(|| "x".to_owned());
            let failure = Key::from_env("https://example.org", env).err().unwrap();
            assert!(failure.sentence.contains(KEY_ID) && failure.sentence.contains(KEY_SECRET));
        }
    }
}
