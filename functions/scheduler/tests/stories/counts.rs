//! What is counted for the alarm while something is done.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Sums `count.Attention` of the lines of this thread for as long as it lives.
pub(crate) struct Attention {
    sum: Arc<AtomicU64>,
    _listening: tracing::subscriber::DefaultGuard,
}

impl Attention {
    pub(crate) fn listen() -> Self {
        let sum = Arc::new(AtomicU64::new(0));
        Self { sum: sum.clone(), _listening: tracing::subscriber::set_default(Ear(sum)) }
    }

    pub(crate) fn counted(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

struct Ear(Arc<AtomicU64>);

impl Subscriber for Ear {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Summed(&self.0));
    }
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

struct Summed<'a>(&'a AtomicU64);

impl Visit for Summed<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, u64::try_from(value).unwrap_or(0));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "count.Attention" {
            self.0.fetch_add(value, Ordering::Relaxed);
        }
    }
    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
