//! What became of a repository's definitions, for whoever asks why: they may be the reason.
use super::runs::{ids, load};
use super::sight::Sight;
use super::stacks::{head_of, repositories};
use super::why::{ended, line_of};
use super::{App, Error};
use crate::auth::Who;
use crate::v1::{RolloutView, WhyLine};
use std::collections::BTreeSet;
use windlass_core::definition::administrative_slug;
use windlass_core::run::{State, StateName, headline};

/// Of how many runs of an administrative stack the commit's own is looked for.
const DEFINITION_RUNS_MAX: usize = 200;

/// Definitions that are not applied may be why something is not known: which, and where they fail.
pub(super) async fn faulty_definitions(app: &App, who: &Who) -> Result<Option<String>, Error> {
    let sight = Sight::of(app, who).await?;
    for repo in repositories(app).await? {
        let slug = administrative_slug(&repo.as_str().into());
        let Ok(head) = head_of(app, who, slug.as_str()).await else { continue };
        let Some(last) = head.last.as_ref().filter(|last| last.state == StateName::Failed) else {
            continue;
        };
        let run = load(app, &sight, &last.id).await?;
        if let Some(note) = run.and_then(|run| run.state.note()) {
            let text = format!("; the newest definitions of {repo} failed: {}", headline(&note));
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// What became of the definitions of this commit, where it brought new ones: until they are
/// applied, the last good ones route it. And the repositories where they failed.
pub(super) async fn about_definitions(
    app: &App,
    who: &Who,
    sha: &str,
    rollouts: &[RolloutView],
) -> Result<(Vec<WhyLine>, BTreeSet<String>), Error> {
    let repos: BTreeSet<&str> = rollouts.iter().map(|r| r.repository.as_str()).collect();
    let sight = Sight::of(app, who).await?;
    let (mut lines, mut faulty) = (Vec::new(), BTreeSet::new());
    for repo in repos {
        let slug = administrative_slug(&repo.into());
        if head_of(app, who, slug.as_str()).await.is_err() {
            continue;
        }
        let ids = ids(app, who, Some(slug.as_str()), None, DEFINITION_RUNS_MAX).await?;
        for id in ids.iter().rev() {
            let Some(run) = load(app, &sight, id).await? else { continue };
            if run.new.commit.sha.as_str() != sha || run.superseded_by.is_some() {
                continue;
            }
            let state = run.state.name();
            let text = match &run.state {
                State::Finished => format!("Its definitions are applied ({slug} is {state})."),
                State::Unconfirmed { .. } => format!(
                    "Its definitions wait for somebody: windlass run confirm {id}. Until then the \
                     last ones stay."
                ),
                State::Failed { reason } => format!(
                    "Its definitions are not applied, the last good ones stay: {}",
                    ended(&reason.to_string())
                ),
                _ => format!("Its definitions are on their way ({slug} is {state})."),
            };
            if let State::Failed { .. } = run.state {
                faulty.insert(repo.to_owned());
            }
            lines.push(WhyLine { at: Some(run.since.rfc3339()), ..line_of(&run, text) });
        }
    }
    Ok((lines, faulty))
}
