//! What was begun: drains of ours go on to their end, or back if nothing irrevocable was done.
use super::census::{Census, Standing, Unit, total};
use super::{Action, Because, Memory, OpId, Victim};

/// Our drained machines, and what becomes of them. `wanted_slots`: how many free slots are missing;
/// a machine that was only drained comes back for them (scenario 15), a doomed one never (C2).
pub(super) fn begun(census: &Census, memory: &Memory, mut wanted_slots: u32) -> (Vec<Action>, u32) {
    let mut actions = Vec::new();
    let mut regained = 0;
    for unit in &census.units {
        let Standing::Drained { ours: Some(op), doomed } = &unit.standing else { continue };
        let op_known = memory.ops.get(unit.id).filter(|known| known.id == *op);
        let because = op_known.map_or(Because::Surplus, |known| known.because);
        let wanted = wanted_slots > 0 && !doomed && because == Because::Surplus;
        if wanted {
            let slots = total(unit.workers.iter().map(|worker| worker.slots)).max(1);
            wanted_slots = wanted_slots.saturating_sub(slots);
            regained = slots.saturating_add(regained);
            actions.push(Action::Undrain {
                instance: unit.id.clone(),
                workers: unit.workers.iter().map(|worker| worker.id.clone()).collect(),
                op: op.clone(),
            });
            continue;
        }
        let decrement = op_known.is_none_or(|known| known.decrement);
        actions.push(Action::Finish { victim: victim(unit, op.clone(), decrement, because) });
    }
    (actions, regained)
}

pub(super) fn victim(unit: &Unit, op: OpId, decrement: bool, because: Because) -> Victim {
    let workers = unit.workers.iter().map(|worker| worker.id.clone()).collect();
    Victim { instance: unit.id.clone(), workers, op, decrement, because }
}
