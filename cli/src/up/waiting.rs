//! Says which runs wait for a person: whoever started the server should not have to go and look.
use scheduler::Deps;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use windlass_core::keys;
use windlass_core::summary::Summary;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Fault, Version, cas};

/// Much may move at once, and summaries are written a moment after what they tell.
const PAUSE: Duration = Duration::from_millis(500);

/// Each run that waits, once, in a sentence; those that wait already come first.
pub(super) async fn tell(deps: Deps, say: impl Fn(&str)) {
    let mut known = Known::default();
    loop {
        // Armed before the look, so that nothing that moves meanwhile is missed.
        let mut moved = pin!(deps.wake.notified());
        moved.as_mut().enable();
        match known.look(&deps).await {
            Ok(new) => new.iter().for_each(|line| say(line)),
            Err(fault) => tracing::debug!(error = fault.chain(), "no look at what waits"),
        }
        moved.await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Of each summary: as which version it was read, and the run that waited then.
#[derive(Default)]
struct Known(BTreeMap<String, (Version, Option<String>)>);

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
                let waits = found.and_then(|found| waiting(&found.value));
                let (run, line) = waits.unzip();
                let before =
                    self.0.insert(listed.key.clone(), (listed.version.clone(), run.clone()));
                // What else moved in its summary is no news.
                if before.and_then(|(_, run)| run) != run {
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

fn waiting(summary: &Summary) -> Option<(String, String)> {
    let last = summary.last.as_ref().filter(|last| last.state.waits_for_person())?;
    let short = crate::output::short_run(&last.id.0);
    let plan = last.delta.map(|delta| format!(", its plan is {delta}")).unwrap_or_default();
    let stack = &summary.stack;
    let line = format!("{stack} waits for a person{plan}: windlass run confirm {short}\n");
    Some((last.id.0.clone(), line))
}
