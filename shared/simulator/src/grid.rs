//! Spacelift's settings, tried one by one: what a patient person could get out of them.
use crate::spacelift::{Settings, Spacelift};
use crate::{Outcome, Trace, simulate};

const CREATE: [u32; 5] = [1, 2, 5, 10, 40];
const KILL: [u32; 4] = [1, 2, 5, 10];
const DELAY_MINUTES: [u64; 5] = [0, 5, 10, 20, 30];
const UTILISATION: [u32; 4] = [50, 70, 85, 100];

/// Every combination, with what came of it.
#[must_use]
pub fn search(trace: &Trace) -> Vec<(Settings, Outcome)> {
    let mut tried = Vec::new();
    for max_create in CREATE {
        for max_kill in KILL {
            for minutes in DELAY_MINUTES {
                for target_utilisation_percent in UTILISATION {
                    for use_idle_time in [false, true] {
                        let settings = Settings {
                            max_create,
                            max_kill,
                            scale_down_delay_ms: minutes * 60_000,
                            use_idle_time,
                            target_utilisation_percent,
                            ..Settings::default()
                        };
                        let outcome = simulate(trace, &mut Spacelift { settings });
                        tried.push((settings, outcome));
                    }
                }
            }
        }
    }
    tried
}
