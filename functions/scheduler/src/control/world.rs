//! What exists outside of the repository whose definitions are read.
use crate::{Deps, Repository};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::definition::administrative_slug;
use windlass_core::id::{RepoName, Sha, StackId};
use windlass_core::index::Catalog;
use windlass_core::keys;
use windlass_core::stack::StackHead;
use windlass_definitions::{
    DEFAULT_POOL, Definitions, OtherPool, OtherSpace, OtherStack, ROOT_SPACE, World,
};
use windlass_ports::Fault;
use windlass_ports::cas::{self, Loaded};

/// `definitions/<repo>.json`: the last good definitions of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stored {
    pub commit: Sha,
    /// The catalog's revision that they became.
    pub revision: u64,
    pub definitions: Definitions,
}

pub(super) async fn stored(deps: &Deps, repo: &RepoName) -> Result<Stored, Fault> {
    let found = cas::load::<Stored>(&*deps.docs, &keys::definitions(repo)).await?;
    Ok(found.map(|found| found.value).unwrap_or_default())
}

pub(super) async fn catalog(deps: &Deps) -> Result<Option<Loaded<Catalog>>, Fault> {
    cas::load(&*deps.docs, keys::CATALOG).await
}

/// The world around `repo`. The first repository owns the root space; another defines only in
/// spaces that were granted to it.
pub(super) async fn around(
    deps: &Deps,
    repo: &RepoName,
    catalog: Option<&Catalog>,
) -> Result<World, Fault> {
    let mut world = World {
        pools: BTreeMap::from([(DEFAULT_POOL.into(), everybodys())]),
        granted: BTreeSet::new(),
        secrets: Some(deps.secrets.names().await?.into_iter().collect()),
        repositories: Some(repositories(&deps.repositories)),
        ..World::default()
    };
    let owner = deps.repositories.first().map(|first| &first.name);
    if owner == Some(repo) {
        world.granted.insert(ROOT_SPACE.into());
    }
    world.left = catalog.map(|catalog| catalog.left.clone()).unwrap_or_default();
    let stacks = catalog.into_iter().flat_map(|catalog| &catalog.stacks);
    for (slug, stack) in stacks.filter(|(_, stack)| stack.owner != *repo) {
        let other = OtherStack {
            repository: stack.owner.clone(),
            space: stack.space.clone(),
            depends_on: stack.parents.iter().map(|edge| edge.stack.clone()).collect(),
        };
        world.stacks.insert(slug.clone(), other);
    }
    for repository in deps.repositories.iter() {
        let (space, depends_on) = (ROOT_SPACE.into(), vec![]);
        let other = OtherStack { repository: repository.name.clone(), space, depends_on };
        world.stacks.insert(administrative_slug(&repository.name), other);
    }
    let served = catalog.into_iter().flat_map(|catalog| catalog.commits.keys());
    for other in served.filter(|name| *name != repo) {
        let declared = stored(deps, other).await?.definitions;
        for pool in declared.worker_pools {
            let other = OtherPool { repository: Some(other.clone()), space: pool.space };
            world.pools.insert(pool.slug, other);
        }
        for space in declared.spaces {
            if space.repositories.contains(repo) {
                world.granted.insert(space.slug.clone());
                if owner == Some(other) {
                    world.vouched.insert(space.slug.clone());
                    world.beside.extend(space.repositories);
                }
            }
            if space.shared_with.contains(repo) {
                world.shared.insert(space.slug.clone());
            }
            let known = OtherSpace { repository: other.clone(), parent: space.parent };
            world.spaces.insert(space.slug, known);
        }
    }
    Ok(world)
}

/// The pool that is there without a word.
fn everybodys() -> OtherPool {
    OtherPool { repository: None, space: ROOT_SPACE.into() }
}

fn repositories(served: &[Repository]) -> BTreeMap<RepoName, String> {
    served.iter().map(|r| (r.name.clone(), r.default_branch.clone())).collect()
}

/// Those of these stacks that may have resources: nobody would manage them once they are gone.
pub(super) async fn with_state<'a>(
    deps: &Deps,
    stacks: impl Iterator<Item = &'a StackId>,
) -> Result<BTreeSet<StackId>, Fault> {
    let mut with_state = BTreeSet::new();
    for stack in stacks {
        let head = cas::load::<StackHead>(&*deps.docs, &keys::head(stack)).await?;
        if head.is_some_and(|head| head.value.may_hold_resources()) {
            with_state.insert(stack.clone());
        }
    }
    Ok(with_state)
}
