//! Says what needs a person, a run that waits or definitions that fail: whoever started the server
//! should not have to go and look.
use scheduler::Deps;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use windlass_core::id::RepoName;
use windlass_core::keys;
use windlass_core::run::{Run, StateName, headline};
use windlass_core::stack::LastRun;
use windlass_core::summary::Summary;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Fault, Version, cas};

/// Much may move at once, and summaries are written a moment after what they tell.
const PAUSE: Duration = Duration::from_millis(500);

/// Each need once, in a sentence; what needs somebody already comes first.
pub(super) async fn tell(deps: Deps, say: impl Fn(&str)) {
    let mut known = Known::default();
    loop {
        // Armed before the look, so that nothing that moves meanwhile is missed.
        let mut moved = pin!(deps.wake.notified());
        moved.as_mut().enable();
        match known.look(&deps).await {
            Ok(new) => new.iter().for_each(|line| say(line)),
            Err(fault) => tracing::debug!(error = fault.chain(), "no look at what needs a person"),
        }
        moved.await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Of each summary: as which version it was read, and the run that needed somebody then.
#[derive(Default)]
struct Known(BTreeMap<String, (Version, Option<Need>)>);

/// A run, and how it is.
type Need = (String, StateName);

impl Known {
    async fn look(&mut self, deps: &Deps) -> Result<Vec<String>, Fault> {
        let (mut new, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = deps.docs.list(keys::SUMMARIES, after.as_deref(), LIST_MAX).await?;
            for listed in &page {
                if self.0.get(&listed.key).is_some_and(|(version, _)| *version == listed.version) {
                    continue;
                }
                let found = cas::load::<Summary>(&*deps.docs, &listed.key).await?;
                let needs = match &found {
                    Some(found) => line(deps, &found.value).await?,
                    None => None,
                };
                let (need, line) = needs.unzip();
                let before =
                    self.0.insert(listed.key.clone(), (listed.version.clone(), need.clone()));
                // What else moved in its summary is no news.
                if before.and_then(|(_, need)| need) != need {
                    new.extend(line);
                }
            }
            match page.last() {
                Some(last) if page.len() == LIST_MAX => after = Some(last.key.clone()),
                _ => return Ok(new),
            }
        }
    }
}

async fn line(deps: &Deps, summary: &Summary) -> Result<Option<(Need, String)>, Fault> {
    let Some(last) = summary.last.as_ref().filter(|_| summary.defined) else { return Ok(None) };
    let line = if last.state.waits_for_person() {
        waiting(summary, last)
    } else if summary.administrative && last.state == StateName::Failed {
        let run = cas::load::<Run>(&*deps.docs, &keys::run(&last.id)).await?;
        failed(&summary.repository, last, run.and_then(|run| run.value.state.note()).as_deref())
    } else {
        return Ok(None);
    };
    Ok(Some(((last.id.0.clone(), last.state), line)))
}

fn waiting(summary: &Summary, last: &LastRun) -> String {
    let short = crate::output::short_run(&last.id.0);
    let plan = last.delta.map(|delta| format!(", its plan is {delta}")).unwrap_or_default();
    let stack = &summary.stack;
    format!("{stack} waits for a person{plan}: windlass run confirm {short}\n")
}

/// Definitions that do not hold look like a control plane that does nothing.
fn failed(repository: &RepoName, last: &LastRun, why: Option<&str>) -> String {
    let (short, commit) = (crate::output::short_run(&last.id.0), last.commit.sha.short());
    let why = crate::output::plain(headline(why.unwrap_or("its log says why")));
    format!(
        "{repository}: the definitions of commit {commit} are not applied: {why}\n  mend that and \
         commit; until then the last good ones hold. All of it: windlass run logs {short}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::run::{Commit, RunType};
    use windlass_core::time::UnixMs;

    fn last(state: StateName) -> LastRun {
        LastRun {
            id: "01KAMGJ0000000000ABCDEFGHJ".into(),
            kind: RunType::Tracked,
            state,
            since: UnixMs(0),
            delta: None,
            commit: Commit { sha: "0123456789abcdef".into(), ..Commit::default() },
        }
    }

    #[test]
    fn definitions_that_fail_are_told_with_their_place() {
        let place = "windlass.yaml:6:5: unknown key `brnach` — did you mean `branch`?";
        let more = format!("{place}\nwindlass.yaml:8:3: \u{1b}[31m");
        #[rustfmt::skip]
        let table = [
            (Some(more.as_str()), place),
            (Some("\u{1b}[2Jx"),  "[2Jx"),
            (None,                "its log says why"),
        ];
        for (why, told) in table {
            let expect = format!(
                "infra: the definitions of commit 01234567 are not applied: {told}\n  mend that and \
                 commit; until then the last good ones hold. All of it: windlass run logs \
                 BCDEFGHJ\n"
            );
            assert_eq!(failed(&"infra".into(), &last(StateName::Failed), why), expect, "{why:?}");
        }
    }
}
