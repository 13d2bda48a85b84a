//! Chance from a seed: what matters is that a seed means the same choices.
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Dice(u64);

impl Dice {
    /// From the seed that this variable says, else from the time. The seed is printed.
    pub fn of(variable: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(1);
        let said = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        let seed = said.unwrap_or(now).max(1);
        println!("{variable}={seed}");
        Self(seed)
    }

    /// Another, for somebody who throws at the same time.
    pub fn split(&mut self) -> Self {
        Self(self.below(u64::MAX).max(1))
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
