//! What a look found: which resources are not as they were applied.
use crate::changes::{Action, Changes};
use crate::id::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// So many addresses are kept and shown; the digest is of all of them.
pub const ADDRESSES_MAX: usize = 200;

/// Resources and outputs that a plan would change, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    pub count: u32,
    /// In order of the alphabet, the first [`ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// Of all addresses: another one is another finding.
    pub digest: Digest,
}

impl Drifted {
    /// What differs, if a plan of what was applied last would change it. A data source that is only
    /// read again differs in nothing.
    #[must_use]
    pub fn of(changes: &Changes) -> Self {
        let resources = changes.resources.iter().filter(|r| match r.action {
            Action::Read => false,
            Action::NoOp => r.previous_address.is_some(),
            _ => true,
        });
        let outputs = changes.outputs.iter().filter(|output| output.action != Action::NoOp);
        let addresses: BTreeSet<String> = resources
            .map(|resource| resource.address.clone())
            .chain(outputs.map(|output| format!("output.{}", output.name)))
            .collect();
        let all = addresses.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        Self {
            count: u32::try_from(addresses.len()).unwrap_or(u32::MAX),
            digest: Digest::of(all.as_bytes()),
            addresses: addresses.into_iter().take(ADDRESSES_MAX).collect(),
        }
    }

    /// `3 differ: a.b, c.d and 1 more`.
    #[must_use]
    pub fn sentence(&self) -> String {
        const SHOWN: usize = 5;
        let shown: Vec<&str> = self.addresses.iter().take(SHOWN).map(String::as_str).collect();
        let more = (self.count as usize).saturating_sub(shown.len());
        let verb = if self.count == 1 { "differs" } else { "differ" };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} {verb}: {}{more}", self.count, shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{OutputChange, ResourceChange};

    fn resource(address: &str, action: Action, moved: bool) -> ResourceChange {
        ResourceChange {
            address: address.to_owned(),
            kind: String::new(),
            provider: String::new(),
            action,
            reason: None,
            previous_address: moved.then(|| "old".to_owned()),
            attributes: vec![],
        }
    }

    #[test]
    fn what_a_plan_would_change_is_drift_and_what_it_only_reads_is_not() {
        let mut changes = Changes {
            resources: vec![
                resource("b.x", Action::Update, false),
                resource("a.x", Action::Create, false),
                resource("c.read", Action::Read, false),
                resource("d.moved", Action::NoOp, true),
                resource("e.same", Action::NoOp, false),
                resource("f.gone", Action::Forget, false),
            ],
            outputs: vec![OutputChange {
                name: "o".to_owned(),
                action: Action::Update,
                before: None,
                after: None,
                sensitive: false,
            }],
        };
        let found = Drifted::of(&changes);
        assert_eq!(found.addresses, ["a.x", "b.x", "d.moved", "f.gone", "output.o"]);
        assert_eq!(found.sentence(), "5 differ: a.x, b.x, d.moved, f.gone, output.o");
        changes.resources.reverse();
        assert_eq!(Drifted::of(&changes), found, "the order says nothing");
        changes.resources.pop();
        assert_ne!(Drifted::of(&changes).digest, found.digest);
        let many = (0..300).map(|n| resource(&format!("r.{n:03}"), Action::Update, false));
        let many = Drifted::of(&Changes { resources: many.collect(), outputs: vec![] });
        assert_eq!((many.count, many.addresses.len()), (300, ADDRESSES_MAX));
        assert!(many.sentence().ends_with("r.004 and 295 more"), "{}", many.sentence());
        assert_eq!(Drifted::of(&Changes::default()).count, 0);
    }
}
