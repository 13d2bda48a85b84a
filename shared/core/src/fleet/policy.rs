//! What a pool's owner decided beforehand.
use super::Warm;
use crate::time::{MINUTE_MS, SECOND_MS};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Runs side by side on one machine; at least 1.
    pub slots_per_instance: u32,
    /// Machines more, or fewer, in one tick; 0: never. What is broken or stray goes all the same.
    pub step_up_max: u32,
    pub step_down_max: u32,
    /// A machine goes only after it had no run for so long …
    pub idle_delay_ms: u64,
    /// … counted from here.
    pub idle_from: IdleFrom,
    /// Free slots that are there before anybody asks.
    pub warm: Warm,
    /// Of a hundred slots so many are meant to be busy: 80 buys a fifth more than is asked for.
    pub utilisation_percent: u32,
    /// So many waiting runs share the slot that is bought for them: 1 buys each its own, 3 buys a
    /// third of the machines and lets two of three runs wait for the first to end. At least 1.
    pub queued_runs_per_slot: u32,
    /// A machine whose worker did not register within this is broken.
    pub boot_deadline_ms: u64,
    /// A silent worker's machine is ended after this, seen silent twice.
    pub lost_grace_ms: u64,
    pub scale_out_cooldown_ms: u64,
    pub scale_in_cooldown_ms: u64,
    /// After so many broken boots in a row nothing is replaced any more.
    pub boot_failures_max: u32,
    /// After so many failed launches in a row machines that are not there are not waited for.
    pub launch_failures_max: u32,
    /// For abnormal reasons at most this part of the fleet goes in one tick (and at least one).
    pub abnormal_percent: u32,
    /// More than this part of the workers gone since the last tick is not believed.
    pub implausible_percent: u32,
    /// A tick that is older than this when it comes is dropped.
    pub tick_age_max_ms: u64,
    /// Slots that drift detection may buy or hold; none: as many as it wants.
    pub drift_slots_max: Option<u32>,
}

/// From when a machine counts as idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleFrom {
    #[default]
    LastRunEnd,
    /// What Spacelift's autoscaler does unless `AUTOSCALING_SCALE_DOWN_DELAY_USE_IDLE_TIME`.
    Registration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            slots_per_instance: 1,
            step_up_max: 10,
            step_down_max: 5,
            idle_delay_ms: 10 * MINUTE_MS,
            idle_from: IdleFrom::LastRunEnd,
            warm: Warm::Always(0),
            utilisation_percent: 100,
            queued_runs_per_slot: 1,
            boot_deadline_ms: 10 * MINUTE_MS,
            lost_grace_ms: 5 * MINUTE_MS,
            scale_out_cooldown_ms: 0,
            scale_in_cooldown_ms: 0,
            boot_failures_max: 3,
            launch_failures_max: 3,
            abnormal_percent: 20,
            implausible_percent: 20,
            tick_age_max_ms: 60 * SECOND_MS,
            drift_slots_max: None,
        }
    }
}

impl Policy {
    /// For whoever would rather wait some minutes than pay for machines that boot for one run: four
    /// waiting runs share a slot, and what is idle goes at once.
    #[must_use]
    pub fn frugal() -> Self {
        Self { queued_runs_per_slot: 4, idle_delay_ms: 0, ..Self::default() }
    }

    /// Machines for this many slots at the wanted utilisation.
    #[must_use]
    pub fn instances_for(&self, slots: u32) -> u32 {
        let percent = u64::from(self.utilisation_percent.clamp(1, 100));
        let wanted = (u64::from(slots) * 100).div_ceil(percent);
        let instances = wanted.div_ceil(u64::from(self.slots_per_instance.max(1)));
        u32::try_from(instances).unwrap_or(u32::MAX)
    }
}
