//! A run as a person names it: its id, or a beginning or end of it that means one run only.
use super::url;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::short_run;
use api::v1::{RunList, RunView};

const ID_CHARS: usize = 26;
/// Fewer characters mean too many runs.
const CHARS_MIN: usize = 4;
/// Runs among which a short name is looked for, newest first.
const LOOKED_AT_MAX: usize = 1_000;
const PAGE: usize = 200;

/// The whole id. One that is complete is not looked up: the server knows whether it exists.
pub(crate) fn run(client: &Client, name: &str) -> Result<String, Failure> {
    let wanted = name.trim().to_ascii_uppercase();
    if wanted.len() >= ID_CHARS {
        return Ok(wanted);
    }
    let is_part = wanted.len() >= CHARS_MIN && wanted.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_part {
        return Err(Failure::new(
            Exit::NotFound,
            format!("`{name}` names no run: take at least {CHARS_MIN} characters of its id"),
        ));
    }
    let mut found: Vec<RunView> = Vec::new();
    let (mut looked_at, mut after) = (0, None);
    loop {
        let query = [("limit", Some(PAGE.to_string())), ("after", after)];
        let page: RunList = client.get(&url::with("/runs", &query))?;
        looked_at += page.runs.len();
        let hit = |run: &RunView| run.id.starts_with(&wanted) || run.id.ends_with(&wanted);
        found.extend(page.runs.into_iter().filter(hit));
        after = page.next;
        if after.is_none() || looked_at >= LOOKED_AT_MAX {
            return one(name, found);
        }
    }
}

fn one(name: &str, found: Vec<RunView>) -> Result<String, Failure> {
    match found.as_slice() {
        [run] => Ok(run.id.clone()),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("there is no run `{name}`; `windlass run list` shows them"),
        )),
        several => {
            let ids: Vec<String> = several
                .iter()
                .take(5)
                .map(|run| format!("{} ({} of {})", short_run(&run.id), run.state, run.stack))
                .collect();
            Err(Failure::usage(format!(
                "`{name}` is short for {} runs: {}",
                several.len(),
                ids.join(", ")
            )))
        }
    }
}
