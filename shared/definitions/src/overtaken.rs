//! What was right when it was planned, and is not when it is applied: other repositories' definitions
//! went on meanwhile.
use crate::model::{Definitions, World};
use crate::spaces::Spaces;
use windlass_core::id::{RepoName, SpaceId};

/// One sentence for each name that is another's by now, and for each space that is granted no more;
/// with any, nothing is applied.
#[must_use]
pub fn overtaken(definitions: &Definitions, repo: &RepoName, world: &World) -> Vec<String> {
    // A context is for stacks of these definitions only, so it may lie anywhere.
    let Definitions { spaces, worker_pools, stacks, contexts: _ } = definitions;
    let mut said = Vec::new();
    for space in spaces {
        let other = world.spaces.get(&space.slug).map(|other| &other.repository);
        said.extend(
            other.map(|other| format!("space {} is declared by {other} by now", space.slug)),
        );
    }
    for stack in stacks {
        if let Some(other) = world.stacks.get(&stack.slug) {
            said.push(format!("{} is defined by {} by now", stack.slug, other.repository));
        }
        if let Some(left) = world.left.get(&stack.slug).filter(|left| left.owner != *repo) {
            said.push(format!("{} was {}'s, and what it left is kept", stack.slug, left.owner));
        }
    }
    for pool in worker_pools {
        let other = world.pools.get(&pool.slug).and_then(|other| other.repository.as_ref());
        said.extend(other.map(|other| format!("{} is declared by {other} by now", pool.slug)));
    }
    let tree = Spaces::of(spaces, world);
    let lies = |what: String, space: &SpaceId| {
        let granted = tree.is_granted(space.as_str());
        (!granted).then(|| format!("{what}: {repo} may not define in space {space} any more"))
    };
    said.extend(spaces.iter().filter_map(|one| lies(format!("space {}", one.slug), &one.slug)));
    said.extend(
        worker_pools.iter().filter_map(|one| lies(format!("pool {}", one.slug), &one.space)),
    );
    said.extend(stacks.iter().filter_map(|one| lies(format!("stack {}", one.slug), &one.space)));
    said
}
