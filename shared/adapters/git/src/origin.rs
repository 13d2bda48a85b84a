//! What a repository's origin is: a folder on this machine or a URL, with credentials kept apart.
use crate::GitError;
use std::path::{Path, PathBuf};

/// Where a mirror fetches from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A folder on this machine, absolute.
    Path(PathBuf),
    /// A URL without user and password.
    Url(String),
}

/// User and password that were part of a URL. They travel in a header set through git's
/// environment, because git passes a URL on to its helpers as an argument, for all to see.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials(pub(crate) String);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Origin {
    /// Reads what a person wrote. A path is made absolute; it need not exist yet.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<Credentials>), GitError> {
        let bad = |why| GitError::BadOrigin { origin: redact(text), why };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.starts_with('-') {
            return Err(bad("it begins with `-`"));
        }
        if text.contains(|c: char| c.is_control()) {
            return Err(bad("it holds a control character"));
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Ok((Self::Path(absolute(path)?), None));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "http" | "https" => Ok(split_credentials(scheme, rest)),
                "ssh" | "git" => Ok((Self::Url(text.to_owned()), None)),
                _ => Err(bad("only file, git, http, https and ssh are spoken")),
            };
        }
        if is_scp_like(text) && !Path::new(text).exists() {
            return match text.contains("::") {
                true => Err(bad("only file, git, http, https and ssh are spoken")),
                false => Ok((Self::Url(text.to_owned()), None)),
            };
        }
        Ok((Self::Path(absolute(text)?), None))
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Path(path) => path.to_string_lossy().into_owned(),
            Self::Url(url) => url.clone(),
        }
    }

    pub(crate) fn speaks_ssh(&self) -> bool {
        matches!(self, Self::Url(url) if url.starts_with("ssh://") || !url.contains("://"))
    }
}

/// `host:path` or `user@host:path`: a colon before the first slash.
fn is_scp_like(text: &str) -> bool {
    let before_slash = text.split('/').next().unwrap_or(text);
    before_slash.contains(':')
}

fn absolute(path: &str) -> Result<PathBuf, GitError> {
    let path = Path::new(path);
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .map_err(|e| GitError::io(format!("{} can't be made absolute", path.display()), e))
}

fn split_credentials(scheme: &str, rest: &str) -> (Origin, Option<Credentials>) {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let credentials = Credentials(percent_decoded(user));
            (Origin::Url(format!("{scheme}://{host}{tail}")), Some(credentials))
        }
        None => (Origin::Url(format!("{scheme}://{rest}")), None),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl Credentials {
    /// The value of an `Authorization` header. A lone token is a password for any user.
    pub(crate) fn basic(&self) -> String {
        let pair = match self.0.contains(':') {
            true => self.0.clone(),
            false => format!("{}:", self.0),
        };
        format!("Authorization: Basic {}", base64(pair.as_bytes()))
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let triple = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            match place <= chunk.len() {
                true => text.push(DIGITS[(triple >> (18 - 6 * place) & 63) as usize] as char),
                false => text.push('='),
            }
        }
    }
    text
}

/// Blanks user, password and query of every URL in a text: nothing that git says is trusted not
/// to repeat what a person typed.
pub(crate) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '<' | '>'))
            .unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let (url, query) = match url.find('?') {
            Some(at) => (&url[..at], "?***"),
            None => (url, ""),
        };
        let authority_end = url.find('/').unwrap_or(url.len());
        match url[..authority_end].rfind('@') {
            Some(at) => {
                clean.push_str("***");
                clean.push_str(&url[at..]);
            }
            None => clean.push_str(url),
        }
        clean.push_str(query);
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_apart() {
        let url = |text: &str| Some((Origin::Url(text.to_owned()), None));
        let with = |text: &str, user: &str| {
            Some((Origin::Url(text.to_owned()), Some(Credentials(user.to_owned()))))
        };
        let path = |text: &str| Some((Origin::Path(PathBuf::from(text)), None));
        for (text, expect) in [
            ("https://example.com/a.git", url("https://example.com/a.git")),
            ("https://me:pa%3Ass@example.com/a", with("https://example.com/a", "me:pa:ss")),
            ("https://to%ken@example.com", with("https://example.com", "to%ken")),
            ("https://a@b:c@example.com/@x", with("https://example.com/@x", "a@b:c")),
            ("ssh://git@example.com/a", url("ssh://git@example.com/a")),
            ("git@example.com:me/a.git", url("git@example.com:me/a.git")),
            ("/no/such/place", path("/no/such/place")),
            ("file:///no/such/place", path("/no/such/place")),
            ("/no/such:place", path("/no/such:place")),
            ("ext::sh -c date", None),
            ("ext://sh", None),
            ("--upload-pack=date", None),
            ("/a\nb", None),
            ("", None),
        ] {
            assert_eq!(Origin::parse(text).ok(), expect, "{text}");
        }
    }

    #[test]
    fn errors_never_hold_what_a_url_hid() {
        for (text, expect) in [
            ("fatal: 'https://me:pw@h/a' no", "fatal: 'https://***@h/a' no"),
            ("https://token@h", "https://***@h"),
            ("https://me:p@w@h/a b://c@d/e", "https://***@h/a b://***@d/e"),
            ("https://h/a?access_token=x y", "https://h/a?*** y"),
            ("https://h/a@b", "https://h/a@b"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redact(text), expect);
        }
        let bad = Origin::parse("foo://me:hunter2@h").unwrap_err();
        assert!(!format!("{bad} {bad:?}").contains("hunter2"));
    }

    #[test]
    fn a_header_is_standard_base64() {
        for (text, expect) in [
            ("me:pw", "bWU6cHc="),
            ("me:pw1", "bWU6cHcx"),
            ("me:pw12", "bWU6cHcxMg=="),
            ("token", "dG9rZW46"),
        ] {
            let header = Credentials(text.to_owned()).basic();
            assert_eq!(header, format!("Authorization: Basic {expect}"));
        }
    }
}
