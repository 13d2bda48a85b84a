//! `windlass login`: a new link into the console; the one that `up` printed works for a minute.
use super::Context;
use crate::exit::Outcome;
use api::v1::LoginLink;
use serde::Serialize;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  windlass login\n  windlass login --open")]
pub(crate) struct Args {
    /// Open it in a browser
    #[arg(long)]
    open: bool,
}

#[derive(Serialize)]
struct Login {
    url: String,
    expires_at: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let link: LoginLink = context.client.post("/login-links", &serde_json::json!({}))?;
    let login = Login { url: context.client.url(&link.path), expires_at: link.expires_at };
    if args.open && !crate::browser::open(&login.url) {
        context.out.remark("No browser could be opened; follow the link.");
    }
    context.show(&login, |_| format!("{}\nIt works once, within a minute.\n", login.url))
}
