//! What several functions are told in the same words.
use crate::vars::Vars;
use windlass_core::id::RepoName;

pub const BUCKET: &str = "WINDLASS_BUCKET";
pub const QUEUE_URL_PREFIX: &str = "WINDLASS_QUEUE_URL_PREFIX";
pub const SECRETS_PREFIX: &str = "WINDLASS_SECRETS_PREFIX";
pub const REPOSITORIES: &str = "WINDLASS_REPOSITORIES";
pub const WEBHOOK_SECRETS: &str = "WINDLASS_WEBHOOK_SECRETS";
pub const GITHUB_API: &str = "WINDLASS_GITHUB_API";
pub const GITHUB_TOKEN: &str = "WINDLASS_GITHUB_TOKEN";
pub const GITHUB_APP_ID: &str = "WINDLASS_GITHUB_APP_ID";
pub const GITHUB_APP_KEY: &str = "WINDLASS_GITHUB_APP_KEY";
pub const URL: &str = "WINDLASS_URL";
/// Read by [`crate::init`], for every function.
pub const LOG: &str = "WINDLASS_LOG";

/// GitHub's own; a GitHub Enterprise Server has another.
const GITHUB_API_DEFAULT: &str = "https://api.github.com";

/// What is logged was decided in [`crate::init`]; here it is only checked.
pub fn log(vars: &mut Vars<'_>) {
    let level = vars.optional(LOG).unwrap_or_default();
    if level.parse::<tracing_subscriber::filter::Targets>().is_err() {
        vars.problem(format!("{LOG} is neither a level (info) nor one per module (api=debug)"));
    }
}

/// Where documents, blobs and messages lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    pub bucket: String,
    /// A queue's address is this and its name.
    pub queue_url_prefix: String,
}

impl Store {
    pub fn read(vars: &mut Vars<'_>) -> Self {
        Self {
            bucket: vars.required(BUCKET),
            queue_url_prefix: vars.parsed(QUEUE_URL_PREFIX, |text| {
                web_address(text)?;
                Ok(text.to_owned())
            }),
        }
    }
}

/// A repository on GitHub, and what it is called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub name: RepoName,
    /// `owner/repo`.
    pub full_name: String,
    /// The branch that its definitions live on.
    pub branch: String,
}

/// `NAME=OWNER/REPO@BRANCH,…`; the first owns the root space.
pub fn repositories(vars: &mut Vars<'_>) -> Vec<Served> {
    vars.parsed(REPOSITORIES, parse_repositories)
}

fn parse_repositories(text: &str) -> Result<Vec<Served>, String> {
    let mut served: Vec<Served> = vec![];
    for (at, item) in text.split(',').map(str::trim).enumerate() {
        let one = parse_repository(item).ok_or_else(|| {
            format!(
                "entry {} is not NAME=OWNER/REPO@BRANCH (NAME= and @BRANCH may be left out)",
                at + 1
            )
        })?;
        if served.iter().any(|known| known.name == one.name) {
            return Err(format!("two repositories are called {}", one.name));
        }
        served.push(one);
    }
    Ok(served)
}

fn parse_repository(item: &str) -> Option<Served> {
    let (name, rest) = item.split_once('=').map_or((None, item), |(name, rest)| (Some(name), rest));
    let (full_name, branch) = rest.split_once('@').unwrap_or((rest, "main"));
    let (owner, repo) = full_name.split_once('/')?;
    let name = name.unwrap_or(repo);
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let branch_fits = !branch.is_empty() && !branch.contains(|c: char| c.is_whitespace());
    (plain(owner) && plain(repo) && plain(name) && branch_fits).then(|| Served {
        name: RepoName::from(name),
        full_name: full_name.to_owned(),
        branch: branch.to_owned(),
    })
}

/// Where a configured secret lies: its name, never its value.
pub fn parse_reference(text: &str) -> Result<String, String> {
    let parameter = text.starts_with('/') && text.len() > 1;
    let secret = text.starts_with("arn:") && text.contains(":secretsmanager:");
    if (parameter || secret) && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    Err("not a reference: the ARN of a Secrets Manager secret, or an SSM parameter that starts with /"
        .to_owned())
}

/// The webhook's secrets: one reference, or several.
pub fn webhook_secrets(vars: &mut Vars<'_>) -> Vec<String> {
    vars.parsed(WEBHOOK_SECRETS, |text| {
        text.split(',').map(|one| parse_reference(one.trim())).collect()
    })
}

/// How GitHub is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubAccess {
    pub api: String,
    pub key: GithubKey,
}

/// In whose name: `token` and `key` are references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GithubKey {
    Token { token: String },
    App { id: String, key: String },
}

impl Default for GithubKey {
    fn default() -> Self {
        Self::Token { token: String::new() }
    }
}

impl GithubAccess {
    pub fn read(vars: &mut Vars<'_>) -> Self {
        let api = vars.optional(GITHUB_API).unwrap_or_else(|| GITHUB_API_DEFAULT.to_owned());
        if let Err(why) = web_address(&api) {
            vars.problem(format!("{GITHUB_API}: {why}"));
        }
        let token = reference(vars, GITHUB_TOKEN);
        let id = vars.optional(GITHUB_APP_ID);
        let key = reference(vars, GITHUB_APP_KEY);
        let key = match (token, id, key) {
            (Some(token), None, None) => GithubKey::Token { token },
            (None, Some(id), Some(key)) => GithubKey::App { id, key },
            _ => {
                vars.problem(format!(
                    "set either {GITHUB_TOKEN}, or {GITHUB_APP_ID} and {GITHUB_APP_KEY}"
                ));
                GithubKey::default()
            }
        };
        Self { api: api.trim_end_matches('/').to_owned(), key }
    }
}

fn reference(vars: &mut Vars<'_>, name: &'static str) -> Option<String> {
    let text = vars.optional(name)?;
    if let Err(why) = parse_reference(&text) {
        vars.problem(format!("{name} is {why}"));
    }
    Some(text)
}

/// The public address of the console, without a slash at its end; for links.
pub fn url(vars: &mut Vars<'_>) -> String {
    vars.parsed(URL, |text| {
        web_address(text)?;
        Ok(text.trim_end_matches('/').to_owned())
    })
}

fn web_address(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => Ok(()),
        _ => Err("not an address that starts with https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::{Configured, read_from};

    fn served(name: &str, full_name: &str, branch: &str) -> Served {
        Served { name: name.into(), full_name: full_name.into(), branch: branch.into() }
    }

    #[test]
    fn repositories_say_what_they_mean() {
        for (text, expect) in [
            ("you/infra", Some(vec![served("infra", "you/infra", "main")])),
            ("net=you/network@trunk", Some(vec![served("net", "you/network", "trunk")])),
            (
                "you/infra, you/apps@release/1",
                Some(vec![
                    served("infra", "you/infra", "main"),
                    served("apps", "you/apps", "release/1"),
                ]),
            ),
            ("infra", None),
            ("you/infra,", None),
            ("you/infra@", None),
            ("you/infra,me/infra", None),
            ("a b=you/infra", None),
        ] {
            assert_eq!(parse_repositories(text).ok(), expect, "{text}");
        }
    }

    #[test]
    fn a_reference_is_never_a_value() {
        for (text, expect) in [
            ("/windlass/webhook", true),
            ("arn:aws:secretsmanager:eu-central-1:1234:secret:hook-AbCdEf", true),
            ("s3cr3t-value", false),
            ("arn:aws:s3:::bucket", false),
            ("/", false),
        ] {
            let parsed = parse_reference(text);
            assert_eq!(parsed.is_ok(), expect, "{text}");
            assert!(!parsed.unwrap_err_or_default().contains("s3cr3t"), "{text}");
        }
    }

    trait ErrOrDefault {
        fn unwrap_err_or_default(self) -> String;
    }
    impl ErrOrDefault for Result<String, String> {
        fn unwrap_err_or_default(self) -> String {
            self.err().unwrap_or_default()
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    struct All {
        store: Store,
        repositories: Vec<Served>,
        secrets: Vec<String>,
        github: GithubAccess,
        url: String,
    }

    impl Configured for All {
        const VARS: &'static [&'static str] = &[];
        fn read(vars: &mut Vars<'_>) -> Self {
            Self {
                store: Store::read(vars),
                repositories: repositories(vars),
                secrets: webhook_secrets(vars),
                github: GithubAccess::read(vars),
                url: url(vars),
            }
        }
    }

    #[test]
    fn all_problems_come_in_one_message() {
        let found = read_from::<All>(&[
            (QUEUE_URL_PREFIX, "sqs.eu-central-1"),
            (WEBHOOK_SECRETS, "/a,hunter2"),
            (GITHUB_TOKEN, "ghp_secret"),
            (GITHUB_APP_ID, "17"),
        ]);
        let message = found.unwrap_err().to_string();
        for part in [
            "WINDLASS_BUCKET is not set",
            "WINDLASS_QUEUE_URL_PREFIX: not an address",
            "WINDLASS_REPOSITORIES is not set",
            "WINDLASS_WEBHOOK_SECRETS: not a reference",
            "WINDLASS_GITHUB_TOKEN is not a reference",
            "set either WINDLASS_GITHUB_TOKEN, or WINDLASS_GITHUB_APP_ID and",
            "WINDLASS_URL is not set",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("hunter2") && !message.contains("ghp_"), "{message}");
    }

    #[test]
    fn what_is_whole_is_read_whole() {
        let found = read_from::<All>(&[
            (BUCKET, "windlass-1234"),
            (QUEUE_URL_PREFIX, "https://sqs.eu-central-1.amazonaws.com/1234/windlass-"),
            (REPOSITORIES, "you/infra"),
            (WEBHOOK_SECRETS, "/windlass/webhook"),
            (GITHUB_API, ""),
            (GITHUB_APP_ID, "17"),
            (GITHUB_APP_KEY, "/windlass/app-key"),
            (URL, "https://x.execute-api.eu-central-1.amazonaws.com/"),
        ]);
        let expect = All {
            store: Store {
                bucket: "windlass-1234".into(),
                queue_url_prefix: "https://sqs.eu-central-1.amazonaws.com/1234/windlass-".into(),
            },
            repositories: vec![served("infra", "you/infra", "main")],
            secrets: vec!["/windlass/webhook".into()],
            github: GithubAccess {
                api: GITHUB_API_DEFAULT.into(),
                key: GithubKey::App { id: "17".into(), key: "/windlass/app-key".into() },
            },
            url: "https://x.execute-api.eu-central-1.amazonaws.com".into(),
        };
        assert_eq!(found.unwrap(), expect);
    }
}
