//! `windlass audit`: who asked what, newest first.
use super::{Context, url};
use crate::exit::Outcome;
use crate::output;
use api::v1::AuditList;

const PAGE: usize = 200;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  windlass audit\n  windlass audit --limit 500 --json")]
pub(crate) struct Args {
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let most = args.limit.max(1);
    let mut list = AuditList { entries: Vec::new(), next: None };
    loop {
        let query = [
            ("limit", Some(PAGE.min(most - list.entries.len()).to_string())),
            ("after", list.next.take()),
        ];
        let page: AuditList = context.client.get(&url::with("/audit", &query))?;
        list.entries.extend(page.entries);
        list.next = page.next;
        if list.next.is_none() || list.entries.len() >= most {
            break;
        }
    }
    context.show(&list, |look| output::audit_list(&list, look))
}
