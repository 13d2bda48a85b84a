//! What goes in and what comes out: files and the world around them; definitions.
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::definition::{EnvVar, FileMount, Hooks, StackDef};
use windlass_core::id::{PoolId, RepoName, SpaceId, StackId};
use windlass_core::index::Left;

/// The space above all others; it always exists.
pub const ROOT_SPACE: &str = "root";
/// The pool of stacks that name none; it always exists.
pub const DEFAULT_POOL: &str = "default";

/// One definition file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// From the root of the repository.
    pub path: String,
    pub text: String,
}

/// What exists outside of the repository whose files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Stacks of other repositories, administrative ones included.
    pub stacks: BTreeMap<StackId, OtherStack>,
    /// Stacks that left the definitions, whosever they were.
    pub left: BTreeMap<StackId, Left>,
    /// Spaces that other repositories declare.
    pub spaces: BTreeMap<SpaceId, OtherSpace>,
    /// Spaces in which this repository may define, with all below them. The first repository's
    /// is `root`.
    pub granted: BTreeSet<SpaceId>,
    /// Of those, the ones that the owner of the root space declares. Names of secrets begin with
    /// one; a space of a grantee's own may have any name, also that of somebody else's secrets.
    pub vouched: BTreeSet<SpaceId>,
    /// Spaces whose stacks this repository's may depend on, with all below them.
    pub shared: BTreeSet<SpaceId>,
    /// Other repositories that may define in one of `vouched`: whose code a repository lends is not
    /// for any other repository to say.
    pub beside: BTreeSet<RepoName>,
    /// Pools that exist anyway, or are declared elsewhere.
    pub pools: BTreeMap<PoolId, OtherPool>,
    /// Names of all secrets; None: not known, nothing is checked.
    pub secrets: Option<BTreeSet<String>>,
    /// All repositories and their default branches; None: not known.
    pub repositories: Option<BTreeMap<RepoName, String>>,
}

impl Default for World {
    /// One repository, which owns everything, and nothing known about secrets.
    fn default() -> Self {
        Self {
            stacks: BTreeMap::new(),
            left: BTreeMap::new(),
            spaces: BTreeMap::new(),
            granted: BTreeSet::from([ROOT_SPACE.into()]),
            vouched: BTreeSet::new(),
            shared: BTreeSet::new(),
            beside: BTreeSet::new(),
            pools: BTreeMap::new(),
            secrets: None,
            repositories: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherStack {
    pub repository: RepoName,
    pub space: SpaceId,
    /// The stacks that it waits for.
    pub depends_on: Vec<StackId>,
}

/// A pool, and whose stacks may use it: those of its space and below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherPool {
    /// Who declares it; None: it is there without that, and the owner of the root space may.
    pub repository: Option<RepoName>,
    pub space: SpaceId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSpace {
    pub repository: RepoName,
    pub parent: SpaceId,
}

/// What one repository declares, complete and checked; every list is sorted by slug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions {
    #[serde(default)]
    pub spaces: Vec<SpaceDef>,
    #[serde(default)]
    pub worker_pools: Vec<PoolDef>,
    /// As declared; the stacks have them merged in already.
    #[serde(default)]
    pub contexts: Vec<ContextDef>,
    #[serde(default)]
    pub stacks: Vec<StackDef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceDef {
    pub slug: SpaceId,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub parent: SpaceId,
    /// Other repositories that may define in this space and below it.
    #[serde(default)]
    pub repositories: Vec<RepoName>,
    /// Other repositories whose stacks may depend on stacks of this space and below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<RepoName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolDef {
    pub slug: PoolId,
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub space: SpaceId,
    /// How many drift runs may be open in it at a time; None: as many as any pool may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_budget: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextDef {
    pub slug: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub labels: BTreeSet<String>,
    #[serde(default)]
    pub priority: i64,
    pub space: SpaceId,
    #[serde(default)]
    pub env: Vec<EnvVar>,
    #[serde(default)]
    pub files: Vec<FileMount>,
    #[serde(default)]
    pub hooks: Hooks,
}
