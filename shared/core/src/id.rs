//! Typed identifiers: one newtype per kind, so a run can't be passed where a worker is meant.
//!
//! Nothing here is random. Whatever is created because of an event takes its id from that event
//! ([`derive`]), so deciding the same event twice names the same things (rule A1 of the protocol).
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

macro_rules! ids { ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
    $(#[$doc])*
    #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct $name(pub String);

    impl $name {
        #[must_use]
        pub fn as_str(&self) -> &str { &self.0 }
    }
    impl fmt::Display for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
    }
    impl From<&str> for $name {
        fn from(text: &str) -> Self { Self(text.to_owned()) }
    }
    impl From<String> for $name {
        fn from(text: String) -> Self { Self(text) }
    }
)+}; }

ids! {
    /// A stack's slug: lower case, `[a-z0-9_-]`; never changes.
    StackId,
    /// A run: a ULID (26 characters), sortable by the time of the event that made it.
    RunId,
    /// `<repository>/<commit>-<n>`: the n-th time this commit was routed.
    RolloutId,
    /// What makes an event recognisable the second time: a delivery, a command, a report.
    EventId,
    /// A repository's short name, unique in one installation.
    RepoName,
    /// A full commit id, 40 (SHA-1) or 64 (SHA-256) hexadecimal digits.
    Sha,
    /// A pool of workers. `control` is reserved for the control plane's own jobs.
    PoolId,
    /// One worker process (a child of `up`, or an EC2 instance) with all its slots.
    InstanceId,
    /// A space: who may see and do what.
    SpaceId,
    /// A hexadecimal SHA-256.
    Digest,
    /// One entry of an outbox: an event's id and a position.
    EffectId,
}

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }
    /// The first twelve digits: enough for a person to compare.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl Sha {
    /// The first eight digits, as people write them.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl RunId {
    /// The id of the run that `event` makes for `stack`: the event's time, then its hash.
    #[must_use]
    pub fn derive(at: crate::time::UnixMs, event: &EventId, stack: &StackId) -> Self {
        let hash = Sha256::new()
            .chain_update(event.0.as_bytes())
            .chain_update([0])
            .chain_update(stack.0.as_bytes())
            .finalize();
        let mut low = [0_u8; 16];
        low.copy_from_slice(&hash[..16]);
        Self(ulid::Ulid::from_parts(at.0, u128::from_be_bytes(low)).to_string())
    }
}

/// A stable id from parts: hexadecimal, 32 digits. Parts can't run into each other.
#[must_use]
pub fn derive(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMs;

    #[test]
    fn a_run_id_is_a_function_of_its_event_and_sorts_by_time() {
        let id =
            |at, event: &str, stack: &str| RunId::derive(UnixMs(at), &event.into(), &stack.into());
        assert_eq!(id(1, "e", "s"), id(1, "e", "s"));
        assert_ne!(id(1, "e", "s"), id(1, "e", "t"));
        assert_ne!(id(1, "ab", "c"), id(1, "a", "bc"));
        assert!(id(1, "z", "z") < id(2, "a", "a"));
        assert_eq!(id(1, "e", "s").0.len(), 26);
    }

    #[test]
    fn derived_parts_do_not_run_together() {
        assert_ne!(derive(&["ab", "c"]), derive(&["a", "bc"]));
    }
}
