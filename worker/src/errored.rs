//! The state that a tool could not store: `errored.tfstate`, in the folder where it ran.
//!
//! It may be the only word of what an apply made, so it is kept before that folder goes, and people
//! are told where.
use crate::archive::{self, Mark};
use std::fs;
use std::io;
use std::path::Path;
use windlass_core::job::JobSpec;
use windlass_core::keys;

const FILE: &str = "errored.tfstate";

/// What of it can be kept, and one sentence for people, without its full stop.
pub(crate) struct Errored {
    pub kept: Option<(String, Vec<u8>)>,
    pub sentence: String,
}

/// One that this job's tool left in `root`. `since`: what is older is the repository's own file.
pub(crate) fn left(root: &Path, since: Option<Mark>, spec: &JobSpec) -> Option<Errored> {
    if spec.id.phase.repeatable() {
        return None;
    }
    let file = root.join(FILE);
    let read = || -> io::Result<Option<Vec<u8>>> {
        let meta = fs::symlink_metadata(&file)?;
        let older = since.is_some_and(|since| archive::changed_at(&meta) < since);
        if older || !meta.is_file() { Ok(None) } else { fs::read(&file).map(Some) }
    };
    match read() {
        Ok(None) => None,
        Ok(Some(body)) => {
            let key = keys::errored_state(&spec.stack, &spec.id);
            let sentence = format!("the state that the tool could not store is kept at {key}");
            Some(Errored { kept: Some((key, body)), sentence })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let sentence = format!("the tool left {FILE}, which can't be read: {error}");
            Some(Errored { kept: None, sentence })
        }
    }
}
