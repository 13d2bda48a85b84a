//! The server's own log: JSON lines in a file; what a person must know, on stderr as well.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// A log that has grown beyond this is put aside (one of them is kept) at the next start.
const LOG_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// Who else hears of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aloud {
    Stderr,
    Nobody,
}

/// Only the first call in a process has an effect.
pub(crate) fn start(path: &Path, aloud: Aloud) -> io::Result<()> {
    let file = open(path)?;
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer().json().with_writer(Mutex::new(file)).with_filter(level);
    let people = (aloud == Aloud::Stderr).then(|| {
        let warnings = fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
        warnings.without_time().with_filter(LevelFilter::WARN)
    });
    let _ = tracing_subscriber::registry().with(lines).with(people).try_init();
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|about| about.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
