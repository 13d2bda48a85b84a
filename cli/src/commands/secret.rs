//! `windlass secret`: values go in by stdin and never come out.
use super::ask::{Person, secret_value};
use super::stack::asked_of;
use super::{Context, url};
use crate::exit::Outcome;
use crate::output;
use api::v1::{Asked, SecretList, SecretRequest};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a secret; its value comes from stdin, or is typed unseen
    #[command(
        after_help = "Examples:\n  windlass secret set cluster/token\n  windlass secret set \
                            cluster/token < token.txt\n\nOne line end behind the value is not part \
                            of it."
    )]
    Set(Name),
    /// List the names of secrets; values are never shown
    #[command(after_help = "Examples:\n  windlass secret list\n  windlass secret list --json")]
    List,
    /// Remove a secret; stacks that refer to it will fail
    #[command(after_help = "Examples:\n  windlass secret rm cluster/token\n  windlass secret rm \
                            cluster/token --yes")]
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Words of letters, digits, . _ - between slashes
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The secret's name
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    match command {
        Command::Set(Name { name }) => {
            let request = SecretRequest { value: secret_value(name)? };
            let path = format!("/secrets/{}", url::parts(name));
            let asked: Asked = context.client.put(&path, &request)?;
            asked_of(context, &asked, &format!("The secret {name} is stored"))
        }
        Command::List => {
            let list: SecretList = context.client.get("/secrets")?;
            context.show(&list, |look| output::secret_list(&list, look))
        }
        Command::Rm(Rm { name, yes }) => {
            if !yes {
                let question = format!("Remove the secret {name}?");
                Person::at_terminal().agrees(&question, "--yes")?;
            }
            let asked: Asked = context.client.delete(&format!("/secrets/{}", url::parts(name)))?;
            asked_of(context, &asked, &format!("The secret {name} is removed"))
        }
    }
}
