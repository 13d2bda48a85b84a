//! Whoever asks, and the one question of what they may do. Operations take what is made here, so
//! that one without an answer to it does not compile.
use crate::ops::Error;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use windlass_core::access::{Grant, ROOT_SPACE, Role, Spaces, may};
use windlass_core::id::{PoolId, SpaceId};

/// Which space lies in which, and which pool in which space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) spaces: Spaces,
    pub(crate) pools: BTreeMap<PoolId, SpaceId>,
}

/// A caller that one of the gates let in.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) actor: String,
    grant: Grant,
    /// The API key that they came with.
    key: Option<String>,
    tree: Arc<Tree>,
}

impl Who {
    pub(super) fn new(actor: String, grant: Grant, key: Option<String>, tree: Arc<Tree>) -> Self {
        Self { actor, grant, key, tree }
    }

    /// Every answer about a space comes from here.
    pub(crate) fn may(&self, role: Role, space: &SpaceId) -> bool {
        may(&self.grant, role, space, &self.tree.spaces)
    }

    /// Whether nothing is hidden from them.
    pub(crate) fn sees_everything(&self) -> bool {
        self.grant.is_everywhere()
    }

    /// The space where a pool's workers are. One that nobody declares is the root's.
    pub(crate) fn pool_space(&self, pool: &PoolId) -> SpaceId {
        self.tree.pools.get(pool).cloned().unwrap_or_else(|| ROOT_SPACE.into())
    }

    /// The thing, if they may know of it.
    pub(crate) fn see<T>(&self, space: &SpaceId, thing: T) -> Option<Seen<T>> {
        self.may(Role::Reader, space).then(|| Seen { thing, space: space.clone() })
    }

    pub(crate) fn reader(&self, space: &SpaceId) -> Result<Reader, Error> {
        self.permit(Role::Reader, space)
    }
    pub(crate) fn writer(&self, space: &SpaceId) -> Result<Writer, Error> {
        self.permit(Role::Writer, space)
    }
    pub(crate) fn admin(&self, space: &SpaceId) -> Result<Admin, Error> {
        self.permit(Role::Admin, space)
    }
    /// For what belongs to the installation: secrets' names, quarantine.
    pub(crate) fn reader_of_all(&self) -> Result<Reader, Error> {
        self.reader(&ROOT_SPACE.into())
    }
    pub(crate) fn admin_of_all(&self) -> Result<Admin, Error> {
        self.admin(&ROOT_SPACE.into())
    }

    fn permit<L>(&self, role: Role, space: &SpaceId) -> Result<Permit<L>, Error> {
        if self.may(role, space) {
            return Ok(Permit { actor: self.actor.clone(), level: PhantomData });
        }
        let (needed, Grant { role, space: at }) = (role.as_str(), &self.grant);
        let role = role.as_str();
        let why =
            format!("this needs the role {needed} on the space {space}; yours is {role} on {at}");
        Err(Error::NotAllowed(why))
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// Something of a space that its holder may read.
#[derive(Clone)]
pub(crate) struct Seen<T> {
    thing: T,
    space: SpaceId,
}

impl<T> Seen<T> {
    pub(crate) fn space(&self) -> &SpaceId {
        &self.space
    }
    /// Another thing of the same space.
    pub(crate) fn with<U>(&self, thing: U) -> Seen<U> {
        Seen { thing, space: self.space.clone() }
    }
    pub(crate) fn into_inner(self) -> T {
        self.thing
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.thing
    }
}

/// Proof that its holder may do this in a space; only [`Who`] makes one.
pub(crate) struct Permit<L> {
    actor: String,
    level: PhantomData<fn() -> L>,
}

pub(crate) enum Reads {}
pub(crate) enum Writes {}
pub(crate) enum Administers {}
pub(crate) type Reader = Permit<Reads>;
pub(crate) type Writer = Permit<Writes>;
pub(crate) type Admin = Permit<Administers>;

impl<L> Permit<L> {
    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }
}

impl Admin {
    /// An admin may what a writer may.
    pub(crate) fn to_writer(&self) -> Writer {
        Permit { actor: self.actor.clone(), level: PhantomData }
    }
}
