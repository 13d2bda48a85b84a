//! Results that could not be delivered yet, on disk: one folder per job, complete or not there.
//!
//! What an apply did must not be lost because the store is away, nor because this process ends
//! meanwhile: the next one that starts on the same folder delivers it.
use crate::upload::Blob;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use windlass_core::job::JobResult;

/// A job's end, ready for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub result: JobResult,
    /// Stays the same over all tries, so that a result whose answer was lost is known as ours.
    pub write_id: String,
    /// What has to be stored before the result may be.
    pub blobs: Vec<Blob>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    result: JobResult,
    write_id: String,
    /// The blob of each numbered file.
    keys: Vec<String>,
}

const INDEX: &str = "result.json";

/// The folder of undelivered results.
#[derive(Clone, Debug)]
pub(crate) struct Spool(PathBuf);

impl Spool {
    /// Makes the folder, and drops what a crash left half written.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.file_name().to_string_lossy().ends_with(".part") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self(folder))
    }

    fn place(&self, finished: &Finished) -> PathBuf {
        self.0.join(finished.result.job.to_string())
    }

    /// Keeps it: on disk for good, or not at all.
    pub(crate) fn keep(&self, finished: &Finished) -> io::Result<()> {
        let place = self.place(finished);
        let part = place.with_extension("part");
        if place.exists() {
            return Ok(());
        }
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part)?;
        for (number, blob) in finished.blobs.iter().enumerate() {
            write(&part.join(number.to_string()), &blob.body)?;
        }
        let index = Index {
            result: finished.result.clone(),
            write_id: finished.write_id.clone(),
            keys: finished.blobs.iter().map(|blob| blob.key.clone()).collect(),
        };
        write(&part.join(INDEX), &serde_json::to_vec(&index)?)?;
        fs::rename(&part, &place)?;
        File::open(&self.0)?.sync_all()
    }

    /// What is waiting. An entry that can't be read is left there and skipped.
    pub(crate) fn waiting(&self) -> io::Result<Vec<Finished>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let place = entry?.path();
            match read(&place) {
                Ok(finished) => found.push(finished),
                Err(error) => tracing::warn!(place = %place.display(), %error, "unreadable"),
            }
        }
        found.sort_by_key(|finished| finished.result.ended_at);
        Ok(found)
    }

    /// Forgets what was delivered.
    pub(crate) fn drop_delivered(&self, finished: &Finished) -> io::Result<()> {
        match fs::remove_dir_all(self.place(finished)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn write(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(body)?;
    file.sync_all()
}

fn read(place: &Path) -> io::Result<Finished> {
    let Index { result, write_id, keys } = serde_json::from_slice(&fs::read(place.join(INDEX))?)?;
    let blob =
        |(number, key)| Ok(Blob { key, body: fs::read(place.join(usize::to_string(&number)))? });
    let blobs = keys.into_iter().enumerate().map(blob).collect::<io::Result<_>>()?;
    Ok(Finished { result, write_id, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::job::{Attempt, JobId, Phase, Verdict};
    use windlass_core::time::UnixMs;

    fn finished(run: &str, ended: u64) -> Finished {
        let job = JobId { run: run.into(), phase: Phase::Apply, round: 0, attempt: Attempt::FIRST };
        let result = JobResult {
            changes: true,
            ended_at: UnixMs(ended),
            tool_ms: 3,
            ..JobResult::blank(&job, &"app".into(), Verdict::Ok, UnixMs(1))
        };
        let blobs = vec![
            Blob { key: "a/b".into(), body: b"one".to_vec() },
            Blob { key: "c".into(), body: vec![] },
        ];
        Finished { result, write_id: format!("{run}-id"), blobs }
    }

    #[test]
    fn what_is_kept_survives_and_half_of_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("spool")).unwrap();
        assert_eq!(spool.waiting().unwrap(), []);
        let (late, early) = (finished("late", 9), finished("early", 2));
        for one in [&late, &early, &early] {
            spool.keep(one).unwrap();
        }
        fs::create_dir_all(folder.path().join("spool/torn.part")).unwrap();
        let again = Spool::open(folder.path().join("spool")).unwrap();
        assert_eq!(again.waiting().unwrap(), [early.clone(), late.clone()]);
        again.drop_delivered(&early).unwrap();
        again.drop_delivered(&early).unwrap();
        assert_eq!(again.waiting().unwrap(), [late]);
    }
}
