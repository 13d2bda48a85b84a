//! The tree of spaces, as the repositories' last good definitions have it. Kept between requests by
//! the versions that a list names, as summaries are.
use super::App;
use crate::auth::Tree;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::id::{PoolId, SpaceId};
use windlass_core::keys;
use windlass_ports::docs::LIST_MAX;
use windlass_ports::{Fault, Version, cas};

/// Of `definitions/<repo>.json`, what matters here.
#[derive(Default, Deserialize)]
struct Stored {
    definitions: Declared,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Declared {
    spaces: Vec<Space>,
    worker_pools: Vec<Pool>,
}

#[derive(Deserialize)]
struct Space {
    slug: SpaceId,
    parent: SpaceId,
}

#[derive(Deserialize)]
struct Pool {
    slug: PoolId,
    space: SpaceId,
}

#[derive(Default)]
struct Known {
    versions: Vec<(String, Version)>,
    tree: Arc<Tree>,
}

#[derive(Default)]
pub(crate) struct Spaces(Mutex<Known>);

impl Spaces {
    /// As it is now: one list, and reads of what changed.
    pub(crate) async fn tree(&self, app: &App) -> Result<Arc<Tree>, Fault> {
        let docs = &*app.deps.docs;
        // A repository has one document: an installation with a thousand of them has other sorrows.
        let listed = docs.list(keys::DEFINITIONS, None, LIST_MAX).await?;
        let versions: Vec<_> = listed.into_iter().map(|one| (one.key, one.version)).collect();
        {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.versions == versions {
                return Ok(known.tree.clone());
            }
        }
        let (mut parents, mut pools) = (BTreeMap::new(), BTreeMap::new());
        for (key, _) in &versions {
            let Some(found) = cas::load::<Stored>(docs, key).await? else { continue };
            let Declared { spaces, worker_pools } = found.value.definitions;
            parents.extend(spaces.into_iter().map(|space| (space.slug, space.parent)));
            pools.extend(worker_pools.into_iter().map(|pool| (pool.slug, pool.space)));
        }
        let tree = Arc::new(Tree { spaces: windlass_core::access::Spaces { parents }, pools });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known { versions, tree: tree.clone() };
        Ok(tree)
    }
}
