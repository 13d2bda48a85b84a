//! Where a machine stands, of what a group and EC2 say of it.
use adapter_ec2::{Machine, State};
use windlass_core::fleet::Place;

/// What AWS itself tags a group's machines with, until they are detached.
pub(crate) const GROUP_TAG: &str = "aws:autoscaling:groupName";

/// Of a machine that the group lists, by its lifecycle state.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html>
pub(crate) fn inside(lifecycle: &str, ec2: Option<State>) -> Place {
    match (lifecycle, ec2) {
        (_, Some(State::Terminated)) | ("Terminated", _) => Place::Terminated,
        // The group finds out at its next health check.
        (_, Some(State::ShuttingDown)) => Place::Leaving,
        ("InService", _) => Place::InService,
        (state, _) if state.starts_with("Pending") => Place::Pending,
        // Between the group and nobody; it is counted once it has arrived there.
        (state, _) if state.starts_with("Terminating") || state.starts_with("Detach") => {
            Place::Leaving
        }
        // Also a warm pool's: it serves nobody, and the group's size does not count it.
        _ => Place::Standby,
    }
}

/// Of a machine that the group does not list, which was read after EC2. None: another group's.
pub(crate) fn outside(machine: &Machine, group: &str) -> Option<Place> {
    let owner = machine.tags.get(GROUP_TAG);
    match (owner, machine.state) {
        (Some(owner), _) if owner != group => None,
        (_, State::Terminated) => Some(Place::Terminated),
        (_, State::ShuttingDown) => Some(Place::Leaving),
        // It was listed a moment ago: it is on its way out.
        (Some(_), _) => Some(Place::Leaving),
        (None, _) => Some(Place::Outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::time::UnixMs;

    #[test]
    fn places() {
        for (lifecycle, ec2, expected) in [
            ("InService", Some(State::Running), Place::InService),
            ("InService", None, Place::InService),
            ("InService", Some(State::ShuttingDown), Place::Leaving),
            ("InService", Some(State::Terminated), Place::Terminated),
            ("Pending", None, Place::Pending),
            ("Pending:Wait", Some(State::Running), Place::Pending),
            ("Pending:Proceed", Some(State::Running), Place::Pending),
            ("Terminating", Some(State::Running), Place::Leaving),
            ("Terminating:Wait", Some(State::Running), Place::Leaving),
            ("Terminating:Proceed", Some(State::ShuttingDown), Place::Leaving),
            ("Terminated", None, Place::Terminated),
            ("Detaching", Some(State::Running), Place::Leaving),
            ("Standby", Some(State::Running), Place::Standby),
            ("EnteringStandby", Some(State::Running), Place::Standby),
            ("Warmed:Stopped", Some(State::Stopped), Place::Standby),
        ] {
            assert_eq!(inside(lifecycle, ec2), expected, "{lifecycle} {ec2:?}");
        }
        for (owner, state, expected) in [
            (None, State::Running, Some(Place::Outside)),
            (None, State::Pending, Some(Place::Outside)),
            (None, State::Stopped, Some(Place::Outside)),
            (None, State::ShuttingDown, Some(Place::Leaving)),
            (None, State::Terminated, Some(Place::Terminated)),
            (Some("ours"), State::Running, Some(Place::Leaving)),
            (Some("ours"), State::Terminated, Some(Place::Terminated)),
            (Some("theirs"), State::Running, None),
            (Some("theirs"), State::Terminated, None),
        ] {
            let tags = owner.map(|owner| (GROUP_TAG.to_owned(), owner.to_owned()));
            let (id, launched_at) = ("i-1".into(), UnixMs(0));
            let machine = Machine { id, state, launched_at, tags: tags.into_iter().collect() };
            assert_eq!(outside(&machine, "ours"), expected, "{owner:?} {state:?}");
        }
    }
}
