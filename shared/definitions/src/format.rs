//! What a text must look like to be a path, a duration, a cron line, …
//!
//! Each check answers with what was expected, so that a message can say it; none of them looks
//! at anything but the text.
use std::sync::LazyLock;
use windlass_core::definition::slug;

/// A name becomes part of keys and of FIFO groups, which AWS bounds.
const NAME_CHARS_MAX: usize = 100;
const HOUR_S: u64 = 3_600;
/// Longer than any job that is still alive.
const DURATION_S_MAX: u64 = 7 * 24 * HOUR_S;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Any,
    Name,
    Label,
    Repository,
    Branch,
    Folder,
    File,
    Glob,
    Command,
    Requirement,
    Workspace,
    Duration,
    EnvName,
    SecretName,
    Output,
    Cron,
    TimeZone,
}

impl Format {
    /// Ok, or what was expected instead.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        let expected = |fine: bool, what: &str| if fine { Ok(()) } else { Err(what.to_owned()) };
        match self {
            Self::Any => expected(!text.contains('\0'), "a text without NUL"),
            Self::Name => name(text),
            Self::Label => expected(is_label(text), "a word or two, in one line"),
            Self::Repository => {
                expected(is_word(text, "._-"), "a repository's short name, such as `infra`")
            }
            Self::Branch => expected(is_branch(text), "a branch, such as `main`"),
            Self::Folder => folder(text).map(drop),
            Self::File => file(text).map(drop),
            Self::Glob => glob(text).map(drop),
            Self::Command => command(text),
            Self::Requirement => requirement(text),
            Self::Workspace => expected(is_word(text, "._-~+=@"), "a workspace, such as `default`"),
            Self::Duration => duration_ms(text).map(drop),
            Self::EnvName => env_name(text),
            Self::SecretName => secret_name(text),
            Self::Output => expected(is_identifier(text, "-"), "the name of an output"),
            Self::Cron => windlass_core::drift::Cron::parse(text).map(drop),
            Self::TimeZone => time_zone(text),
        }
    }

    /// The format in words, for the reference.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Any => "text",
            Self::Name => "name",
            Self::Label => "label",
            Self::Repository => "repository",
            Self::Branch => "branch",
            Self::Folder => "folder",
            Self::File => "path",
            Self::Glob => "glob",
            Self::Command => "command",
            Self::Requirement => "version requirement",
            Self::Workspace => "workspace",
            Self::Duration => "duration (`70m`, `1h30m`, `90s`)",
            Self::EnvName => "variable name",
            Self::SecretName => "secret name",
            Self::Output => "output name",
            Self::Cron => "cron line",
            Self::TimeZone => "time zone",
        }
    }

    /// A pattern for editors, where one says enough.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Duration => Some("^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?$"),
            Self::EnvName => Some("^[A-Za-z_][A-Za-z0-9_]*$"),
            Self::Output => Some("^[A-Za-z_][A-Za-z0-9_-]*$"),
            Self::Repository => Some("^[A-Za-z0-9._-]+$"),
            Self::SecretName => Some("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"),
            Self::Cron => Some("^\\S+ +\\S+ +\\S+ +\\S+ +\\S+$"),
            Self::Name | Self::Label | Self::Branch | Self::File | Self::Glob | Self::Command => {
                Some("\\S")
            }
            _ => None,
        }
    }
}

fn name(text: &str) -> Result<(), String> {
    if slug(text).is_empty() {
        return Err("a name with letters or digits of `a-z0-9`".to_owned());
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err("a name in one line, without space around it".to_owned());
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(format!("a name of at most {NAME_CHARS_MAX} characters"));
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_word(text: &str, also: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

fn is_identifier(text: &str, also: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}

/// The rules of `git check-ref-format` that matter.
fn is_branch(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    !text.is_empty()
        && !text.starts_with(['-', '/'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.contains(bad)
}

/// A folder of the repository as the core wants it: `/`-separated, without `.` or `..`; empty is
/// the root.
pub(crate) fn folder(text: &str) -> Result<String, String> {
    let expected = || "a folder inside of the repository".to_owned();
    if text.starts_with('/') {
        return Err(format!("{}, not an absolute path", expected()));
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err(format!("{}, with `/` between its parts", expected()));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(format!("{}, without `..`", expected()));
    }
    if parts.first() == Some(&".git") {
        return Err(format!("{}, not git's own", expected()));
    }
    if text.is_empty() {
        return Err(format!("{} (`.` is its root)", expected()));
    }
    Ok(parts.join("/"))
}

/// The same for a file.
pub(crate) fn file(text: &str) -> Result<String, String> {
    let path = folder(text).map_err(|words| words.replacen("a folder", "a file", 1))?;
    if path.is_empty() || text.ends_with('/') {
        return Err("a file inside of the repository".to_owned());
    }
    Ok(path)
}

/// A glob from the root of the repository; `*` and `?` stay within one folder.
pub(crate) fn glob(text: &str) -> Result<globset::Glob, String> {
    if text.trim().is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err("a glob from the root of the repository, such as `modules/eks/**`".to_owned());
    }
    globset::GlobBuilder::new(text.strip_prefix("./").unwrap_or(text))
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|error| format!("a glob ({})", error.kind()))
}

fn command(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("a shell command".to_owned());
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err("a shell command in one line (join with `&&`, or list several)".to_owned());
    }
    Ok(())
}

fn env_name(text: &str) -> Result<(), String> {
    let bare = text.strip_prefix("ro_").or_else(|| text.strip_prefix("wo_")).unwrap_or(text);
    if is_identifier(bare, "") {
        return Ok(());
    }
    Err("a variable's name of letters, digits and `_`".to_owned())
}

fn secret_name(text: &str) -> Result<(), String> {
    if text.split('/').all(|part| is_word(part, "._-")) {
        return Ok(());
    }
    Err("a secret's name, such as `cluster/token`".to_owned())
}

/// `70m`, `1h30m`, `90s` in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let expected = || "a duration such as `70m`, `1h30m` or `90s`".to_owned();
    let mut rest = text;
    let mut seconds = 0_u64;
    for (unit, unit_s) in [('h', HOUR_S), ('m', 60), ('s', 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if number.is_empty() || number.len() > 7 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(expected());
        }
        seconds += number.parse::<u64>().map_err(|_| expected())? * unit_s;
        rest = after;
    }
    if !rest.is_empty() || text.is_empty() {
        return Err(expected());
    }
    if seconds == 0 || seconds > DURATION_S_MAX {
        return Err("a duration between one second and seven days".to_owned());
    }
    Ok(seconds * 1_000)
}

/// Terraform's version constraints: `>= 1.6, < 2`, `~> 1.9.0`, `1.11.4`.
fn requirement(text: &str) -> Result<(), String> {
    let fine = text.split(',').all(|clause| {
        let clause = clause.trim();
        let version = ["~>", ">=", "<=", "!=", ">", "<", "="]
            .iter()
            .find_map(|operator| clause.strip_prefix(operator))
            .unwrap_or(clause);
        is_version(version.trim_start())
    });
    if fine { Ok(()) } else { Err("a version requirement such as `>= 1.6, < 2`".to_owned()) }
}

fn is_version(text: &str) -> bool {
    let (numbers, suffix) = match text.split_once('-') {
        Some((numbers, suffix)) => (numbers, Some(suffix)),
        None => (text, None),
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    let number = |part: &&str| {
        !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit())
    };
    parts.len() <= 3 && parts.iter().all(number) && suffix.is_none_or(|text| is_word(text, ".-"))
}

/// The names of the IANA database, sorted.
pub(crate) static TIME_ZONES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: Vec<&str> = include_str!("zones.txt").lines().collect();
    names.sort_unstable();
    names
});

fn time_zone(text: &str) -> Result<(), String> {
    match TIME_ZONES.binary_search(&text) {
        Ok(_) => Ok(()),
        Err(_) => Err("an IANA time zone such as `Europe/Berlin`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is allowed here must be able to tell what time it is there.
    #[test]
    fn every_zone_that_may_be_named_has_rules() {
        let without: Vec<_> =
            TIME_ZONES.iter().filter(|name| !windlass_core::drift::is_zone(name)).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn durations() {
        #[rustfmt::skip]
        let table = [
            ("70m",     Some(4_200_000)),
            ("1h30m",   Some(5_400_000)),
            ("90s",     Some(90_000)),
            ("1h5s",    Some(3_605_000)),
            ("168h",    Some(604_800_000)),
            ("168h1s",  None),
            ("0s",      None),
            ("",        None),
            ("70",      None),
            ("m",       None),
            ("5s1m",    None),
            ("1m1m",    None),
            ("-1m",     None),
            ("1.5h",    None),
            ("70 m",    None),
            ("99999999999999999999h", None),
        ];
        for (text, expect) in table {
            assert_eq!(duration_ms(text).ok(), expect, "{text}");
        }
    }

    #[test]
    fn what_each_format_takes() {
        #[rustfmt::skip]
        let table = [
            (Format::Requirement, ">= 1.6, < 2",       true),
            (Format::Requirement, "~> 1.9.0",          true),
            (Format::Requirement, "1.11.4",            true),
            (Format::Requirement, "= 1.12.0-rc1",      true),
            (Format::Requirement, "^1.6",              false),
            (Format::Requirement, ">= 1.6 < 2",        false),
            (Format::Requirement, ">= 1.6,",           false),
            (Format::Requirement, "latest",            false),
            (Format::Requirement, "1.2.3.4",           false),
            (Format::Folder,      "stacks/a",          true),
            (Format::Folder,      "./stacks//a/",      true),
            (Format::Folder,      ".",                 true),
            (Format::Folder,      "a..b",              true),
            (Format::Folder,      "",                  false),
            (Format::Folder,      "/stacks",           false),
            (Format::Folder,      "a/../../b",         false),
            (Format::Folder,      "a\\b",              false),
            (Format::Folder,      ".git/hooks",        false),
            (Format::File,        "conf/a.tfvars",     true),
            (Format::File,        "conf/",             false),
            (Format::Glob,        "modules/eks/**",    true),
            (Format::Glob,        "a/{b,c}/*.tf",      true),
            (Format::Glob,        "a/{b",              false),
            (Format::Glob,        "a/[b",              false),
            (Format::Glob,        "../x/**",           false),
            (Format::EnvName,     "TF_VAR_size",       true),
            (Format::EnvName,     "ro_TOKEN",          true),
            (Format::EnvName,     "ro_",               false),
            (Format::EnvName,     "1A",                false),
            (Format::EnvName,     "A-B",               false),
            (Format::SecretName,  "cluster/token",     true),
            (Format::SecretName,  "/token",            false),
            (Format::SecretName,  "a/../b",            false),
            (Format::Branch,      "feature/x",         true),
            (Format::Branch,      "a b",               false),
            (Format::Branch,      "a..b",              false),
            (Format::Branch,      "-x",                false),
            (Format::TimeZone,    "UTC",               true),
            (Format::TimeZone,    "Europe/Berlin",     true),
            (Format::TimeZone,    "Berlin",            false),
            (Format::Name,        "Provider test X",   true),
            (Format::Name,        "--",                false),
            (Format::Name,        " a",                false),
            (Format::Command,     "a && b",            true),
            (Format::Command,     "a\nb",              false),
            (Format::Command,     " ",                 false),
        ];
        for (format, text, expect) in table {
            assert_eq!(format.check(text).is_ok(), expect, "{format:?} {text:?}");
        }
        assert_eq!(folder("./stacks//a/"), Ok("stacks/a".to_owned()));
        assert_eq!(folder("."), Ok(String::new()));
    }
}
