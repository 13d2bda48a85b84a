//! What a controller made of a trace.
use crate::Ms;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    #[serde(skip)]
    pub waits_ms: Vec<Ms>,
    pub machine_ms: Ms,
    pub finished: usize,
    /// Runs that no worker had taken at the end.
    pub unstarted: usize,
    /// Machines that the controller ended while they had a run.
    pub busy_kills: u32,
    /// Runs whose machine the provider took.
    pub interrupted: u32,
}

impl Outcome {
    /// The wait that 95 of 100 runs had at most, in seconds.
    #[must_use]
    pub fn p95_s(&self) -> f64 {
        self.wait_s(95)
    }

    #[must_use]
    pub fn wait_s(&self, percent: usize) -> f64 {
        let mut sorted = self.waits_ms.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).map_or(0.0, |ms| seconds(*ms))
    }

    #[must_use]
    pub fn machine_hours(&self) -> f64 {
        seconds(self.machine_ms) / 3_600.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a day of milliseconds is far below 2^52")]
fn seconds(ms: Ms) -> f64 {
    ms as f64 / 1_000.0
}
