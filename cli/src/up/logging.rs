//! The server's own log: JSON lines in a file; what a person must know, on stderr as well.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
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
        let warnings = fmt::layer().with_writer(io::stderr).with_ansi(false);
        warnings.event_format(Sentences).with_filter(LevelFilter::WARN)
    });
    let _ = tracing_subscriber::registry().with(lines).with(people).try_init();
    Ok(())
}

/// For people: what happened and why, in one line. Everything else stands in the file.
struct Sentences;

impl<S, N> FormatEvent<S, N> for Sentences
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        let Sentence { what, why } = sentence;
        let colon = if why.is_empty() { "" } else { ": " };
        writeln!(writer, "windlass: {what}{colon}{why}")
    }
}

#[derive(Default)]
struct Sentence {
    what: String,
    why: String,
}

impl Visit for Sentence {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.what = format!("{value:?}"),
            "error" | "fault" => self.why = format!("{value:?}"),
            _ => {}
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|about| about.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn people_get_a_sentence_and_its_cause() {
        let said = Said::default();
        let sink = said.clone();
        let layer = fmt::layer().with_writer(move || sink.clone()).event_format(Sentences);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(worker = "w1", "worker w1 was killed by signal 9");
            tracing::warn!(error = "connection refused", "infra can't be looked at");
            tracing::warn!(error = %io::Error::other("full"), "the log can't be written");
        });
        let expect = "windlass: worker w1 was killed by signal 9\n\
                      windlass: infra can't be looked at: connection refused\n\
                      windlass: the log can't be written: full\n";
        assert_eq!(String::from_utf8(said.0.lock().unwrap().clone()).unwrap(), expect);
    }
}
