//! `windlass run logs`: a run's words so far, or until its end, by cursor.
use super::wait::ending;
use super::{Context, find, url, wait};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, short_run};
use api::v1::{LogPage, LogPart, Verb};
use windlass_core::job::Step;

/// How long the server may hold an answer back for something to say.
const WAIT_MS: u64 = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's id, or its first or last characters
    run: String,
    /// Go on until the run ends
    #[arg(long, short)]
    follow: bool,
}

pub(crate) fn run(context: &Context, args: &Args) -> Outcome {
    let id = find::run(&context.client, &args.run)?;
    let mut shown = Shown::default();
    let mut whole: Option<LogPage> = None;
    let mut told = false;
    let last = loop {
        let after = whole.as_ref().map(|page| page.next.clone()).filter(|next| !next.is_empty());
        let wait_ms = if args.follow { WAIT_MS } else { 0 };
        let query = [("after", after), ("wait_ms", Some(wait_ms.to_string()))];
        let path = format!("/runs/{}/logs", url::part(&id));
        let page: LogPage = context.client.get(&url::with(&path, &query))?;
        if !context.out.json {
            shown.parts(context, &page.parts)?;
        }
        if page.state.waits_for_person() && args.follow && !told {
            told = true;
            let short = short_run(&id);
            context.out.remark(&format!(
                "The run is {}; it waits for a person: windlass run confirm {short}",
                page.state
            ));
        }
        let (done, empty) = (page.done, page.parts.is_empty());
        whole = Some(joined(whole, page, context.out.json));
        if done || (!args.follow && empty) {
            break whole;
        }
    };
    let Some(page) = last else { return Ok(Exit::Done) };
    if context.out.json {
        context.out.show(&page, |_| String::new())?;
    } else if shown.nothing {
        context.out.remark(&format!("The run {} has said nothing yet.", short_run(&id)));
    }
    if args.follow { end(context, &id) } else { Ok(Exit::Done) }
}

/// Says how it ended, and makes that the exit code.
fn end(context: &Context, id: &str) -> Outcome {
    let detail = wait::detail(context, id)?;
    context.out.remark(&output::run_line(&detail.run, &context.out.look()));
    if let Some(note) = &detail.run.note {
        context.out.remark(&output::plain(note));
    }
    if detail.can.contains(&Verb::Retry) {
        context
            .out
            .remark(&format!("Once its cause is gone: windlass run retry {}", short_run(id)));
    }
    Ok(ending(&detail.run).unwrap_or(Exit::Done))
}

/// All pages as one; the words are kept only if they are still to be shown.
fn joined(whole: Option<LogPage>, page: LogPage, keep: bool) -> LogPage {
    let mut parts = whole.map(|whole| whole.parts).unwrap_or_default();
    if !keep {
        return LogPage { parts: Vec::new(), ..page };
    }
    for part in page.parts {
        match parts.last_mut() {
            Some(last) if last.job == part.job && last.step == part.step => {
                last.text.push_str(&part.text);
            }
            _ => parts.push(part),
        }
    }
    LogPage { parts, ..page }
}

/// What has been printed so far.
struct Shown {
    nothing: bool,
    step: Option<(String, Step)>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { nothing: true, step: None }
    }
}

impl Shown {
    /// A quiet line where a step begins, then its words.
    fn parts(&mut self, context: &Context, parts: &[LogPart]) -> Result<(), Failure> {
        let look = context.out.look();
        for part in parts {
            self.nothing = false;
            let step = (part.job.clone(), part.step);
            if self.step.as_ref() != Some(&step) {
                context.out.print(&format!(
                    "{}\n",
                    look.quiet(&format!("── {} ──", part.step.as_str()))
                ))?;
                self.step = Some(step);
            }
            context.out.print(&output::log(&part.text, look.style.coloured()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::run::StateName;

    #[test]
    fn pages_become_one_document() {
        let part = |step, text: &str| LogPart { job: "j".into(), step, text: text.into() };
        let page = |parts, next: &str, done| LogPage {
            run: "r".into(),
            state: StateName::Planning,
            parts,
            next: next.into(),
            done,
        };
        let first =
            page(vec![part(Step::Initializing, "a\n"), part(Step::Planning, "b\n")], "1", false);
        let second = page(vec![part(Step::Planning, "c\n")], "2", true);
        let whole = joined(Some(joined(None, first, true)), second, true);
        let expect =
            page(vec![part(Step::Initializing, "a\n"), part(Step::Planning, "b\nc\n")], "2", true);
        assert_eq!(whole, expect);
    }
}
