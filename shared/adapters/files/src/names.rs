//! Keys as paths: each part of a key is a folder or file name that no file system minds.
//!
//! A part keeps letters, digits and `-_=+@`, and dots except at its start; every other byte becomes
//! `%xx`. The name of a blob's file ends in `,` and that of a folder does not, so `a` and `a/b` can
//! both be keys.
use std::path::PathBuf;

/// Ends the name of every blob's file; no part of a key is written with it.
const FILE_END: char = ',';
/// File systems take 255 bytes; the end and a temporary name's start need a few.
const NAME_BYTES_MAX: usize = 230;

/// The relative path of a key's file, or why the key can't be one.
pub(crate) fn path_of(key: &str) -> Result<PathBuf, &'static str> {
    if key.is_empty() {
        return Err("it is empty");
    }
    if key.len() > windlass_ports::docs::KEY_BYTES_MAX {
        return Err("it is too long");
    }
    let mut path = PathBuf::new();
    let mut parts = key.split('/').peekable();
    while let Some(part) = parts.next() {
        match part {
            "" => return Err("a part of it is empty"),
            "." | ".." => return Err("a part of it is `.` or `..`"),
            _ if part.contains('\0') => return Err("it holds a zero byte"),
            _ => {}
        }
        let mut name = escaped(part);
        if name.len() > NAME_BYTES_MAX {
            return Err("a part of it is too long");
        }
        if parts.peek().is_none() {
            name.push(FILE_END);
        }
        path.push(name);
    }
    Ok(path)
}

/// What a directory entry stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A blob, by the last part of its key.
    File(String),
    /// A part of keys.
    Folder(String),
    /// Not ours: a temporary file, a stranger's.
    Other,
}

pub(crate) fn named(name: &str) -> Named {
    let (text, file) = match name.strip_suffix(FILE_END) {
        Some(text) => (text, true),
        None => (name, false),
    };
    match unescaped(text) {
        // Only the one spelling that we would write ourselves.
        Some(part) if escaped(&part) == text && !part.is_empty() => match file {
            true => Named::File(part),
            false => Named::Folder(part),
        },
        _ => Named::Other,
    }
}

fn escaped(part: &str) -> String {
    let mut name = String::with_capacity(part.len());
    for (at, byte) in part.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'=' | b'+' | b'@' => {
                name.push(byte as char);
            }
            b'.' if at > 0 => name.push('.'),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

fn unescaped(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_safe_paths_and_back() {
        for (key, expect) in [
            ("a", Ok("a,")),
            (
                "logs/01J/01J-plan-1/planning/000000000012",
                Ok("logs/01J/01J-plan-1/planning/000000000012,"),
            ),
            ("plans/r/r-plan-1.tar.zst", Ok("plans/r/r-plan-1.tar.zst,")),
            (".hidden/...", Ok("%2ehidden/%2e..,")),
            ("a b/c\\d:e*", Ok("a%20b/c%5cd%3ae%2a,")),
            ("ü,%", Ok("%c3%bc%2c%25,")),
            ("", Err("it is empty")),
            ("/etc/passwd", Err("a part of it is empty")),
            ("a//b", Err("a part of it is empty")),
            ("a/", Err("a part of it is empty")),
            ("../x", Err("a part of it is `.` or `..`")),
            ("a/./b", Err("a part of it is `.` or `..`")),
            ("a/..", Err("a part of it is `.` or `..`")),
            ("a\0b", Err("it holds a zero byte")),
        ] {
            let path = path_of(key);
            assert_eq!(path, expect.map(PathBuf::from), "{key}");
            let Ok(path) = path else { continue };
            let parts = path.iter().map(|name| match named(name.to_str().unwrap()) {
                Named::File(part) | Named::Folder(part) => part,
                Named::Other => panic!("{name:?}"),
            });
            assert_eq!(parts.collect::<Vec<_>>().join("/"), key);
        }
        assert!(path_of(&"x".repeat(1_025)).is_err());
        assert!(path_of(&"x".repeat(240)).is_err());
    }

    #[test]
    fn strangers_are_left_alone() {
        for name in [".tmp-1", "%zz", "%2E", "a b", "%", ",", "", "%61"] {
            assert_eq!(named(name), Named::Other, "{name}");
        }
    }
}
