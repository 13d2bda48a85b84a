//! The store's own time: it follows a clock, but never goes back.
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::time::UnixMs;
use windlass_ports::Clock;

/// A clock that goes on from where it was when the one below jumps back. Standing still until the
/// other has caught up would be worse: no lease would lapse and no message come back meanwhile.
pub(crate) struct Rising {
    below: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    last: UnixMs,
    /// How far this is ahead of the clock below.
    ahead_ms: u64,
}

impl Rising {
    /// Starts no earlier than `last`, the latest time that the file knows of.
    pub(crate) fn new(below: Arc<dyn Clock>, last: UnixMs) -> Self {
        let rising = Self { below, state: Mutex::new(State { last, ahead_ms: 0 }) };
        rising.now();
        rising
    }

    pub(crate) fn now(&self) -> UnixMs {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let below = self.below.now();
        let behind_ms = state.last.since_ms(below.plus_ms(state.ahead_ms));
        state.ahead_ms += behind_ms;
        state.last = below.plus_ms(state.ahead_ms);
        state.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_ports::fake::FakeClock;

    #[test]
    fn goes_on_when_the_clock_jumps_back() {
        let clock = FakeClock::at(UnixMs(10_000));
        let rising = Rising::new(clock.shared(), UnixMs(4_000));
        for (set, shows) in [
            (10_000, 10_000),
            (12_000, 12_000),
            (2_000, 12_000),
            (2_500, 12_500),
            (1_000, 12_500),
            (1_001, 12_501),
        ] {
            clock.set(UnixMs(set));
            assert_eq!(rising.now(), UnixMs(shows), "{set}");
        }
        // A file from the future, as the clock has it.
        assert_eq!(Rising::new(clock.shared(), UnixMs(90_000)).now(), UnixMs(90_000));
    }
}
