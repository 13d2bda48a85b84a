//! Paths and queries of the API, every part of them encoded.
use std::fmt::Write as _;

/// One part of a path.
#[must_use]
pub(crate) fn part(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Several parts, as a secret's name has them: the slashes between them stay.
#[must_use]
pub(crate) fn parts(text: &str) -> String {
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A path and its query; what is None is left out.
#[must_use]
pub(crate) fn with(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut url = path.to_owned();
    let given = query.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    for (at, (name, value)) in given.enumerate() {
        let _ = write!(url, "{}{name}={}", if at == 0 { '?' } else { '&' }, part(value));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_stays_in_its_place() {
        let some = |text: &str| Some(text.to_owned());
        let query = [("q", some("a b&c")), ("state", None), ("after", some("1:ü"))];
        assert_eq!(with("/stacks", &query), "/stacks?q=a%20b%26c&after=1%3A%C3%BC");
        assert_eq!(with("/stacks", &[("q", None)]), "/stacks");
        assert_eq!(part("../../x?y#z"), "..%2F..%2Fx%3Fy%23z");
        assert_eq!(parts("cluster/a b"), "cluster/a%20b");
    }
}
