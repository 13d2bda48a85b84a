//! May this look be acted upon?
use super::census::Census;
use super::{Alarm, Memory, Policy, Snapshot, Why};
use crate::time::MINUTE_MS;

/// Nobody looked for longer than this: whoever looks now may see a world that just came back.
const GAP_MS_MAX: u64 = 5 * MINUTE_MS;

/// Why not, and what to say of it.
pub(super) fn refuses(
    policy: &Policy,
    s: &Snapshot,
    census: &Census,
    memory: &Memory,
) -> Option<(Why, Option<Alarm>)> {
    let age_ms = s.now.since_ms(s.due);
    if age_ms > policy.tick_age_max_ms {
        return Some((Why::Stale { age_ms }, None));
    }
    if !memory.kept {
        return None;
    }
    let gap_ms = memory.looked_at.map_or(0, |at| s.now.since_ms(at));
    if gap_ms > GAP_MS_MAX {
        return Some((Why::FirstLook { gap_ms }, None));
    }
    // Machines that are gone took their workers with them; the rest would have vanished alone.
    let explained = memory.machines.saturating_sub(census.in_group());
    let (live, before) = (census.live, memory.workers_live);
    let vanished = before.saturating_sub(live).saturating_sub(explained);
    let share =
        u64::from(vanished) * 100 > u64::from(before) * u64::from(policy.implausible_percent);
    // The second look that believes it is a tick's.
    if vanished > 1 && share && (s.woken || !memory.doubted) {
        return Some((Why::Implausible { live, before }, Some(Alarm::Implausible)));
    }
    None
}
