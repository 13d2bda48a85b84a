//! What is counted for the alarm while something is done.
use std::cell::Cell;
use std::sync::Once;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// What this thread's lines add up to. A story has one thread.
    static SUM: Cell<u64> = const { Cell::new(0) };
}

/// One ear for all stories: a line that is first reached while another story's ear comes or goes
/// may be taken for one that nobody wants to hear.
static LISTENING: Once = Once::new();

/// Sums `count.Attention` of the lines of this thread from here on.
pub(crate) struct Attention {
    before: u64,
}

impl Attention {
    pub(crate) fn listen() -> Self {
        LISTENING.call_once(|| {
            let _ = tracing::subscriber::set_global_default(Ear);
        });
        tracing::callsite::rebuild_interest_cache();
        Self { before: SUM.get() }
    }

    pub(crate) fn counted(&self) -> u64 {
        SUM.get() - self.before
    }
}

struct Ear;

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
        event.record(&mut Summed);
    }
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

struct Summed;

impl Visit for Summed {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_u64(field, u64::try_from(value).unwrap_or(0));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "count.Attention" {
            SUM.set(SUM.get() + value);
        }
    }
    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
