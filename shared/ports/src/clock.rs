//! The time, as an argument: core never reads it, shells read it here.
use windlass_core::time::UnixMs;

pub trait Clock: Send + Sync {
    fn now(&self) -> UnixMs;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixMs(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// For ages and visibility on one machine: starts at the wall clock's time and then goes on
/// evenly, however the wall clock is set. A machine that sleeps does not let it pass (on Linux),
/// so leases do not lapse because a laptop was closed.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    began: UnixMs,
    since: std::time::Instant,
}

impl SteadyClock {
    #[must_use]
    pub fn start() -> Self {
        Self { began: SystemClock.now(), since: std::time::Instant::now() }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> UnixMs {
        self.began.plus_ms(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
