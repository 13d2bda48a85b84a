//! `windlass key`: who may come in from elsewhere. A secret is printed once, to stdout.
use super::ask::Person;
use super::stack::asked_of;
use super::{Context, url};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Out};
use crate::remote::{KEY_ID, KEY_SECRET};
use api::v1::{Asked, KeyList, KeyRequest, NewKeyView, Role};
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key; its secret is printed this once
    #[command(
        after_help = "Examples:\n  windlass key create ci --role writer --space platform\n  \
                            windlass key create me --role admin --bucket windlass-prod\n\nWith \
                            --bucket the key is written straight to the store, with AWS \
                            credentials: the way to the first one."
    )]
    Create(Create),
    /// List keys, revoked ones too; secrets are never shown
    #[command(after_help = "Examples:\n  windlass key list\n  windlass key list --json")]
    List,
    /// Revoke a key: its tokens and sessions end within a minute
    #[command(
        after_help = "Examples:\n  windlass key revoke ci-3f9a2c81d0\n  windlass key revoke \
                            ci-3f9a2c81d0 --yes"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is for; its id begins with this
    name: String,
    /// What its holder may do
    #[arg(long, value_enum)]
    role: RoleName,
    /// Where, with everything below it
    #[arg(long, default_value = "root")]
    space: String,
    /// Write it to this bucket with AWS credentials, instead of asking a server
    #[arg(long)]
    bucket: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Reader,
    Writer,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Reader => Role::Reader,
            RoleName::Writer => Role::Writer,
            RoleName::Admin => Role::Admin,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key's id
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(
    out: &Out,
    server: impl FnOnce() -> Result<Context, Failure>,
    command: &Command,
) -> Outcome {
    match command {
        Command::Create(args) => create(out, server, args),
        Command::List => {
            let context = server()?;
            let list: KeyList = context.client.get("/keys")?;
            context.show(&list, |look| output::key_list(&list, look))
        }
        Command::Revoke(Revoke { id, yes }) => {
            let context = server()?;
            if !yes {
                let question = format!("Revoke the key {id}? Whoever uses it is locked out.");
                Person::at_terminal().agrees(&question, "--yes")?;
            }
            let asked: Asked = context.client.delete(&format!("/keys/{}", url::part(id)))?;
            asked_of(&context, &asked, &format!("The key {id} is revoked"))
        }
    }
}

fn create(out: &Out, server: impl FnOnce() -> Result<Context, Failure>, args: &Create) -> Outcome {
    let (name, role, space) = (args.name.clone(), args.role.into(), args.space.clone());
    let request = KeyRequest { name, role, space: Some(space) };
    let made: NewKeyView = match &args.bucket {
        Some(bucket) => in_bucket(bucket, request)?,
        None => server()?.client.post("/keys", &request)?,
    };
    out.show(&made, |_| format!("{KEY_ID}={}\n{KEY_SECRET}={}\n", made.key.id, made.secret))?;
    if !out.json {
        let (role, space) = (made.key.role.as_str(), &made.key.space);
        out.complain(&format!(
            "The key is for the role {role} on {space}. Its secret is not shown again."
        ));
    }
    Ok(Exit::Done)
}

#[cfg(not(feature = "aws"))]
fn in_bucket(_: &str, _: KeyRequest) -> Result<NewKeyView, Failure> {
    Err(Failure::missing("this windlass was built without AWS; --bucket needs the feature `aws`"))
}

#[cfg(feature = "aws")]
fn in_bucket(bucket: &str, request: KeyRequest) -> Result<NewKeyView, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::missing("no runtime can be started").because(e))?;
    runtime.block_on(async {
        let mut wrong = Vec::new();
        let aws = crate::agent::connect(&mut wrong).await;
        let aws = aws.ok_or_else(|| Failure::missing(wrong.join("; ")))?;
        let docs = adapter_s3::Bucket::new(&aws, bucket);
        bootstrap(&docs, request).await
    })
}

/// The first key: there is no server to ask yet, so whoever may write the store makes it. It has its
/// line in the audit trail like any other.
#[cfg(any(test, feature = "aws"))]
async fn bootstrap(
    docs: &dyn windlass_ports::Docs,
    request: KeyRequest,
) -> Result<NewKeyView, Failure> {
    use windlass_ports::Clock as _;
    let by = super::login().unwrap_or_else(|| "windlass".to_owned());
    let now = windlass_ports::clock::SystemClock.now();
    let made = api::bootstrap_key(docs, now, &by, request).await;
    made.map_err(|error| {
        let problem = error.problem();
        Failure::new(crate::client::exit_of(problem.code), problem.message).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use windlass_ports::fake::{FakeClock, MemDocs};

    #[tokio::test]
    async fn the_first_key_needs_only_the_store() {
        let docs = Arc::new(MemDocs::new(FakeClock::default().shared()));
        let ask = |name: &str| KeyRequest { name: name.to_owned(), role: Role::Admin, space: None };
        let made = bootstrap(&*docs, ask("me")).await.unwrap();
        assert!(made.key.id.starts_with("me-") && made.key.space == "root");
        let kept = docs.dump();
        assert!(kept.contains_key(&windlass_core::keys::api_key(&made.key.id)));
        assert!(kept.keys().any(|key| key.starts_with(windlass_core::keys::AUDIT)));
        for (key, body) in kept {
            assert!(!String::from_utf8_lossy(&body).contains(&made.secret), "{key}");
        }
        assert_eq!(bootstrap(&*docs, ask("")).await.unwrap_err().exit, Exit::Usage);
    }
}
