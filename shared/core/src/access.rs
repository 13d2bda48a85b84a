//! Who may do what: a role on a space, which reaches everything below it.
use crate::id::{Digest, SpaceId};
use crate::time::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The space above all others; it always exists.
pub const ROOT_SPACE: &str = "root";
/// Steps up before a chain of parents is taken for a circle (definitions refuse one).
const LEVELS_MAX: usize = 64;

/// Spacelift's `space-reader`, `space-writer`, `space-admin`: each may what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Reader,
    /// Triggers, confirms, stops, locks, runs tasks, reads managed state.
    Writer,
    /// Takes others' locks, drains workers; on the root space also secrets and quarantine.
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Reader, Role::Writer, Role::Admin];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Writer => "writer",
            Role::Admin => "admin",
        }
    }
}

/// A role, and the space where it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub role: Role,
    pub space: SpaceId,
}

impl Grant {
    /// Whether it reaches every space there is.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.space.0 == ROOT_SPACE
    }
}

/// Which space lies in which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spaces {
    pub parents: BTreeMap<SpaceId, SpaceId>,
}

impl Spaces {
    /// Whether `space` is `above` or lies in it, however deep. A space that nobody declares lies in
    /// the root: only a grant there reaches it.
    #[must_use]
    pub fn is_inside(&self, space: &SpaceId, above: &SpaceId) -> bool {
        let root = SpaceId::from(ROOT_SPACE);
        if *above == root {
            return true;
        }
        let up = |space: &&SpaceId| self.parents.get(*space);
        std::iter::successors(Some(space), up).take(LEVELS_MAX).any(|one| one == above)
    }
}

/// The one question: whether this grant lets its holder do what `role` may in `space`.
#[must_use]
pub fn may(grant: &Grant, role: Role, space: &SpaceId, spaces: &Spaces) -> bool {
    grant.role >= role && spaces.is_inside(space, &grant.space)
}

/// `keys/<id>`: a key for programs, and for people who are not on the machine. Its secret is 32
/// random bytes, so a plain SHA-256 keeps it: there is nothing to guess that a slow hash would
/// protect, as there is in a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    /// Of the secret as it was told once.
    pub secret: Digest,
    #[serde(flatten)]
    pub grant: Grant,
    pub created_by: String,
    pub created_at: UnixMs,
    #[serde(default)]
    pub revoked_by: Option<String>,
    #[serde(default)]
    pub revoked_at: Option<UnixMs>,
    /// When it was last exchanged for a token, to within an hour.
    #[serde(default)]
    pub last_used: Option<UnixMs>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reaches_its_space_and_what_lies_below() {
        let pairs = [("team", "root"), ("prod", "team"), ("other", "root"), ("a", "b"), ("b", "a")];
        let parents = pairs.map(|(space, parent)| (space.into(), parent.into())).into();
        let spaces = Spaces { parents };
        use Role::{Admin, Reader, Writer};
        #[rustfmt::skip]
        let table = [
            // granted           asked              expect
            ((Reader, "root"),   (Reader, "root"),  true),
            ((Reader, "root"),   (Reader, "prod"),  true),
            ((Reader, "root"),   (Writer, "root"),  false),
            ((Writer, "team"),   (Reader, "team"),  true),
            ((Writer, "team"),   (Writer, "prod"),  true),
            ((Writer, "team"),   (Admin, "prod"),   false),
            ((Admin, "team"),    (Reader, "root"),  false),
            ((Admin, "team"),    (Reader, "other"), false),
            ((Admin, "prod"),    (Reader, "team"),  false),
            ((Admin, "root"),    (Admin, "gone"),   true),
            ((Admin, "team"),    (Reader, "gone"),  false),
            ((Admin, "gone"),    (Reader, "gone"),  true),
            ((Admin, "team"),    (Reader, "a"),     false),
            ((Admin, "a"),       (Reader, "b"),     true),
        ];
        for ((role, space), (asked, at), expect) in table {
            let grant = Grant { role, space: space.into() };
            let got = may(&grant, asked, &at.into(), &spaces);
            assert_eq!(got, expect, "{role:?} on {space}: {asked:?} on {at}");
        }
    }
}
