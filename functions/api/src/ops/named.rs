//! A run as a person names it: by its id, or by a beginning or an end of it that means one run only;
//! also by a beginning of the end that listings show.
use super::list::load_many;
use super::runs::{all_as_known, ids};
use super::sight::Sight;
use super::{App, Error, is_run_id};
use crate::auth::Who;
use std::collections::BTreeSet;
use windlass_core::id::RunId;
use windlass_core::keys;
use windlass_core::run::Run;

const ID_CHARS: usize = 26;
/// Fewer characters mean too many runs.
const CHARS_MIN: usize = 4;
/// An end is looked for among so many runs, the newest …
const LOOKED_AT_MAX: usize = 1_000;
/// … and of all runs with a beginning, so many are looked at: whoever means one gives more of it.
const BEGUN_MAX: usize = 200;
/// So many are named when the name is short for several.
const SHOWN_MAX: usize = 5;
/// Documents that are read at once.
const SOME: usize = 20;
/// As long as the part of an id that listings show.
const SHORT_CHARS: usize = 8;

/// The whole id. One that is complete is not looked up: whoever reads the run sees whether it exists.
pub(super) async fn named(app: &App, who: &Who, name: &str) -> Result<RunId, Error> {
    let wanted = name.trim().to_ascii_uppercase();
    let shown: String = name.chars().take(80).collect();
    if is_run_id(&wanted) {
        return Ok(RunId(wanted));
    }
    let is_part = (CHARS_MIN..ID_CHARS).contains(&wanted.len())
        && wanted.bytes().all(|b| b.is_ascii_alphanumeric());
    let found = if is_part { visible(app, who, &wanted).await? } else { Vec::new() };
    match found.as_slice() {
        [] => Err(Error::NotFound(format!("there is no run {shown}"))),
        [run] => Ok(run.id().clone()),
        several => {
            let more = if several.len() > SHOWN_MAX { ", …" } else { "" };
            let told = several.iter().take(SHOWN_MAX).map(|run| {
                let (id, state) = (run.id().as_str(), run.state.name());
                let short = id.get(id.len().saturating_sub(SHORT_CHARS)..).unwrap_or(id);
                format!("{short} ({state} of {})", run.stack)
            });
            let told = told.collect::<Vec<_>>().join(", ");
            let why = format!("`{shown}` is short for several runs: {told}{more}");
            Err(Error::Invalid(why))
        }
    }
}

/// Runs that it may mean and that the caller may see, newest first; not many more than are shown.
async fn visible(app: &App, who: &Who, part: &str) -> Result<Vec<Run>, Error> {
    let docs = &*app.deps.docs;
    let begun = docs.list(&format!("{}{part}", keys::RUNS), None, BEGUN_MAX).await?;
    let name = |key: &str| Some(key.strip_prefix(keys::RUNS)?.strip_suffix(".json")?.to_owned());
    let mut meant: BTreeSet<String> = begun.iter().filter_map(|at| name(&at.key)).collect();
    let recent = ids(app, who, None, None, LOOKED_AT_MAX).await?;
    // The end, or how the end begins that listings show.
    let ends = |id: &String| {
        let shown = id.get(id.len().saturating_sub(SHORT_CHARS)..);
        id.ends_with(part) || shown.is_some_and(|shown| shown.starts_with(part))
    };
    meant.extend(recent.into_iter().map(|id| id.0).filter(ends));
    let keys: Vec<String> = meant.iter().rev().map(|id| keys::run(&id.as_str().into())).collect();
    let sight = Sight::of(app, who).await?;
    let mut found = Vec::new();
    for some in keys.chunks(SOME) {
        let runs = load_many::<Run>(docs, some).await?.into_iter().flatten();
        let seen = runs.map(|run| run.value).filter(|run| sight.sees(&run.stack));
        found.extend(all_as_known(app, seen.collect()).await?);
        if found.len() > SHOWN_MAX {
            break;
        }
    }
    Ok(found)
}
