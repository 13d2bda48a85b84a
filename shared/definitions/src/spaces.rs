//! The tree of spaces: which exist, which lies in which, and where this repository may define.
use crate::graph;
use crate::model::{ROOT_SPACE, SpaceDef, World};
use crate::names::Names;
use crate::problem::{At, Faults, Text, quote};
use crate::read;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::id::{RepoName, SpaceId};

/// Steps up before a chain of parents is taken for a circle (which is a fault of its own).
const LEVELS_MAX: usize = 64;

pub(crate) struct Spaces<'w> {
    names: Names,
    parents: BTreeMap<String, String>,
    granted: &'w BTreeSet<SpaceId>,
}

impl<'w> Spaces<'w> {
    /// The spaces of the world and those declared here, and the definitions of the latter.
    pub(crate) fn resolve(
        declared: &[read::Space],
        repo: &RepoName,
        world: &'w World,
        faults: &mut Faults<'_>,
    ) -> (Self, Vec<SpaceDef>) {
        let mut spaces =
            Self { names: Names::new("space"), parents: BTreeMap::new(), granted: &world.granted };
        spaces.names.know(ROOT_SPACE);
        for (slug, other) in &world.spaces {
            spaces.names.know(slug.as_str());
            spaces.parents.insert(slug.0.clone(), other.parent.0.clone());
        }
        let mut own = Vec::new();
        for space in declared {
            let Some(slug) = spaces.names.declare(&space.name, faults) else { continue };
            if slug == ROOT_SPACE {
                let message = format!("the space `{ROOT_SPACE}` always exists");
                faults.add(space.name.at, message, Some("leave it out".to_owned()));
                continue;
            }
            if let Some(other) = world.spaces.get(&SpaceId(slug.clone())) {
                let owner = &other.repository;
                let message = format!("space `{slug}` belongs to repository `{owner}`");
                faults.add(space.name.at, message, Some("choose another name".to_owned()));
                continue;
            }
            own.push((slug, space));
        }
        let defs = spaces.link(&own, repo, faults);
        (spaces, defs)
    }

    /// The spaces of the world and those that were read before.
    pub(crate) fn of(own: &[SpaceDef], world: &'w World) -> Self {
        let others = world.spaces.iter().map(|(slug, other)| (slug, &other.parent));
        let all = own.iter().map(|space| (&space.slug, &space.parent)).chain(others);
        let parents = all.map(|(slug, parent)| (slug.0.clone(), parent.0.clone())).collect();
        Self { names: Names::new("space"), parents, granted: &world.granted }
    }

    /// Finds every parent, and the circles among them.
    fn link(
        &mut self,
        own: &[(String, &read::Space)],
        repo: &RepoName,
        faults: &mut Faults<'_>,
    ) -> Vec<SpaceDef> {
        let mut defs = Vec::new();
        for (slug, space) in own {
            let parent = match &space.parent {
                Some(name) => self.names.find(name, faults),
                None => Some(ROOT_SPACE.to_owned()),
            };
            let parent = parent.unwrap_or_else(|| ROOT_SPACE.to_owned());
            self.parents.insert(slug.clone(), parent.clone());
            defs.push(SpaceDef {
                slug: SpaceId(slug.clone()),
                name: space.name.text.clone(),
                description: space.description.clone(),
                parent: SpaceId(parent),
                repositories: repositories(&space.repositories),
                shared_with: repositories(&space.shared_with),
            });
        }
        let edges = self
            .parents
            .iter()
            .map(|(space, parent)| (space.as_str(), vec![parent.as_str()]))
            .collect();
        let by_slug: BTreeMap<&str, &read::Space> =
            own.iter().map(|(slug, space)| (slug.as_str(), *space)).collect();
        for circle in graph::circles(&edges) {
            // A circle without a space of this repository is another's to mend.
            let Some(space) = circle.iter().find_map(|slug| by_slug.get(slug)) else { continue };
            let message = format!("spaces lie in each other: {}", closed(&circle));
            faults.add(space.name.at, message, None);
        }
        for (slug, space) in own {
            let at = space.parent.as_ref().map_or(space.name.at, |parent| parent.at);
            self.check_granted(slug, &format!("space `{slug}`"), at, repo, faults);
        }
        defs.sort_by(|a, b| a.slug.cmp(&b.slug));
        defs
    }

    /// The space that is meant, or the root.
    pub(crate) fn find(&self, name: Option<&Text>, faults: &mut Faults<'_>) -> String {
        name.and_then(|name| self.names.find(name, faults)).unwrap_or_else(|| ROOT_SPACE.to_owned())
    }

    /// Whether `space` is `above` or lies in it, however deep.
    pub(crate) fn is_inside(&self, space: &str, above: &str) -> bool {
        self.upwards(space).any(|one| one == above)
    }

    /// A fault if this repository may not define what `what` names in `space`.
    pub(crate) fn check_granted(
        &self,
        space: &str,
        what: &str,
        at: At,
        repo: &RepoName,
        faults: &mut Faults<'_>,
    ) {
        if self.is_granted(space) {
            return;
        }
        let message =
            format!("{what} is in a space where repository {} may not define", quote(&repo.0));
        let granted: Vec<String> = self.granted.iter().map(|one| format!("`{one}`")).collect();
        let help = if granted.is_empty() {
            "it was granted no space; name it in the `repositories` of one".to_owned()
        } else {
            format!("it was granted {}", granted.join(", "))
        };
        faults.add(at, message, Some(help));
    }

    /// Whether this repository may define in `space`.
    pub(crate) fn is_granted(&self, space: &str) -> bool {
        self.is_among(space, self.granted)
    }

    /// Whether `space` is one of these or lies in one, however deep.
    pub(crate) fn is_among(&self, space: &str, spaces: &BTreeSet<SpaceId>) -> bool {
        let among = |space: &str| spaces.contains(&SpaceId(space.to_owned()));
        among(ROOT_SPACE) || self.upwards(space).any(among)
    }

    fn upwards<'s>(&'s self, space: &'s str) -> impl Iterator<Item = &'s str> {
        let parent = |space: &&'s str| match self.parents.get(*space) {
            Some(parent) => Some(parent.as_str()),
            None if *space == ROOT_SPACE => None,
            None => Some(ROOT_SPACE),
        };
        std::iter::successors(Some(space), parent).take(LEVELS_MAX)
    }
}

fn repositories(names: &[Text]) -> Vec<RepoName> {
    names.iter().map(|name| RepoName(name.text.clone())).collect()
}

/// `a → b → a`
pub(crate) fn closed(circle: &[&str]) -> String {
    let first = circle.first().copied();
    circle.iter().copied().chain(first).collect::<Vec<_>>().join(" → ")
}
