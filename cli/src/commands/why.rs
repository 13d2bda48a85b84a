//! `windlass why`: what led to this, in sentences.
use super::{Context, url};
use crate::exit::Outcome;
use crate::output;
use api::v1::WhyView;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  windlass why 4f2c91ab     # a commit: which stacks it touched, \
                        or why none\n  windlass why network      # a stack: why it is in its \
                        state\n  windlass why 7Q2ZK4XD     # a run: why it exists, waits, failed or \
                        was skipped"
)]
pub(crate) struct Args {
    /// A commit, a stack or a run
    #[arg(value_name = "COMMIT|STACK|RUN")]
    what: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let what = named_in_git(&args.what).unwrap_or_else(|| args.what.clone());
    let view: WhyView = context.client.get(&format!("/why/{}", url::part(what.trim())))?;
    context.show(&view, |look| output::why(&view, look))
}

/// `HEAD`, `HEAD~2`: what git calls a commit in the work tree that we stand in.
fn named_in_git(what: &str) -> Option<String> {
    let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", what];
    let out = std::process::Command::new("git").args(words).output();
    let out = out.ok().filter(|out| what.starts_with("HEAD") && out.status.success())?;
    Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
