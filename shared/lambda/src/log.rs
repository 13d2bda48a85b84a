//! One log: JSON lines in one vocabulary, each flat. A line that counts something is a metric too.
//!
//! Handlers write `tracing` events and know nothing of CloudWatch. A field `count.Name = 3`, or
//! `metric = "Name"` for one of them, makes the line carry the metric `Name` in CloudWatch's
//! embedded format, so that it costs no request. Its only dimension is the function: a dimension
//! per stack would be a metric, and a bill, per stack. `Attention` is counted for the whole
//! installation instead: an alarm, which costs by the month, hears of one metric.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use windlass_core::time::UnixMs;
use windlass_ports::Clock;
use windlass_ports::clock::SystemClock;

const NAMESPACE: &str = "Windlass";
/// Somebody should look: what the alarm hears of, whichever function it comes from.
const ATTENTION: &str = "Attention";
const COUNT: &str = "count.";
/// Who says nothing worth its price at `info`.
const DEFAULT: &str = "info";

/// Starts the log of this process. Only the first call has an effect.
pub(crate) fn start(function: &str, level: Option<&str>) {
    let wanted = level.unwrap_or(DEFAULT);
    let filter: Targets = wanted.parse().unwrap_or_else(|_| {
        Targets::new().with_default(tracing_subscriber::filter::LevelFilter::INFO)
    });
    let lines = Lines::new(function, io::stdout()).with_filter(filter);
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// The layer that writes them.
pub(crate) struct Lines<W> {
    function: String,
    writer: Mutex<W>,
    clock: Box<dyn Clock>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(function: &str, writer: W) -> Self {
        let clock = Box::new(SystemClock);
        Self { function: function.to_owned(), writer: Mutex::new(writer), clock }
    }

    fn line(&self, level: &str, target: &str, fields: Fields) -> Value {
        let now = self.clock.now();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), now.rfc3339().into());
        line.insert("level".to_owned(), level.into());
        line.insert("function".to_owned(), self.function.clone().into());
        line.insert("target".to_owned(), target.into());
        line.extend(fields.words);
        if !fields.counts.is_empty() {
            let installation = self.function.rsplit_once('-').map_or("", |(name, _)| name);
            if fields.counts.contains_key(ATTENTION) {
                line.insert("installation".to_owned(), installation.into());
            }
            line.insert("_aws".to_owned(), embedded(now, &fields.counts));
            line.extend(fields.counts);
        }
        Value::Object(line)
    }
}

fn embedded(now: UnixMs, counts: &Map<String, Value>) -> Value {
    let (all, own): (Vec<&String>, Vec<&String>) =
        counts.keys().partition(|name| *name == ATTENTION);
    let directives = [("installation", all), ("function", own)];
    let directives = directives.iter().filter(|(_, names)| !names.is_empty());
    let directives = directives.map(|(dimension, names)| {
        let metrics = names.iter().map(|name| json!({ "Name": name, "Unit": "Count" }));
        let metrics: Vec<Value> = metrics.collect();
        json!({ "Namespace": NAMESPACE, "Dimensions": [[dimension]], "Metrics": metrics })
    });
    let directives: Vec<Value> = directives.collect();
    json!({ "Timestamp": now.0, "CloudWatchMetrics": directives })
}

/// Fields as they were said; a later one of the same name replaces an earlier.
#[derive(Default)]
struct Fields {
    words: Map<String, Value>,
    counts: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        if let Some(metric) = name.strip_prefix(COUNT) {
            self.counts.insert(metric.to_owned(), value);
            return;
        }
        // The runtime's own words for what we call otherwise, or don't need.
        match name {
            "metric" => value.as_str().and_then(|m| self.counts.insert(m.to_owned(), 1.into())),
            "requestId" => self.words.insert("request_id".to_owned(), value),
            "xrayTraceId" | "faas.trigger" => None,
            _ => self.words.insert(name.to_owned(), value),
        };
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(known) = span.extensions().get::<Fields>() {
                    fields.words.extend(known.words.clone());
                }
            }
        }
        event.record(&mut fields);
        let about = event.metadata();
        let line = self.line(about.level().as_str(), about.target(), fields);
        // One write per line: lines of one process never mix. A log that can't be written is no
        // reason to stop.
        let mut writer = match self.writer.lock() {
            Ok(writer) => writer,
            Err(poisoned) => poisoned.into_inner(),
        };
        let _ = writer.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct At(u64);
    impl Clock for At {
        fn now(&self) -> UnixMs {
            UnixMs(self.0)
        }
    }

    fn said(speak: impl FnOnce()) -> Vec<Value> {
        let said = Said::default();
        let mut lines = Lines::new("windlass-scheduler", said.clone());
        lines.clock = Box::new(At(1_764_054_000_000));
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, speak);
        let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_flat_and_carries_what_its_spans_know() {
        let lines = said(|| {
            let outer = tracing::info_span!("invoke", requestId = "r1", xrayTraceId = "x");
            let _outer = outer.enter();
            let inner =
                tracing::info_span!("message", stack_id = "app", run_id = tracing::field::Empty);
            let _inner = inner.enter();
            inner.record("run_id", "01R");
            tracing::warn!(attempt = 2, error = %"gone", "again");
        });
        let expect = json!({
            "timestamp": "2025-11-25T07:00:00.000Z", "level": "WARN", "function": "windlass-scheduler",
            "target": "windlass_lambda::log::tests", "request_id": "r1", "stack_id": "app",
            "run_id": "01R", "attempt": 2, "error": "gone", "message": "again",
        });
        assert_eq!(lines, [expect]);
    }

    #[test]
    fn what_is_counted_is_a_metric_without_a_dimension_per_stack() {
        let lines = said(|| {
            let span = tracing::info_span!("message", stack_id = "app");
            let _span = span.enter();
            tracing::info!(count.Quarantined = 1, "set aside");
        });
        assert_eq!(lines[0]["Quarantined"], 1);
        assert_eq!(lines[0]["_aws"]["Timestamp"], 1_764_054_000_000_u64);
        assert_eq!(said(|| tracing::info!(metric = "Unsigned", "refused"))[0]["Unsigned"], 1);
        let own = json!({
            "Namespace": "Windlass", "Dimensions": [["function"]],
            "Metrics": [{ "Name": "Quarantined", "Unit": "Count" }],
        });
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"], json!([own]));
        // What the alarm hears is one metric, whichever function counts.
        let both = || tracing::error!(count.Quarantined = 2, count.Attention = 2, "set aside");
        let line = said(both).remove(0);
        let all = json!({
            "Namespace": "Windlass", "Dimensions": [["installation"]],
            "Metrics": [{ "Name": "Attention", "Unit": "Count" }],
        });
        assert_eq!(line["_aws"]["CloudWatchMetrics"], json!([all, own]));
        assert_eq!((&line["installation"], &line["Attention"]), (&json!("windlass"), &json!(2)));
    }
}
