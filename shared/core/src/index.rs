//! What a push is routed by, and the catalog that it is made of.
//!
//! The catalog knows every stack of every repository; only a reconcile reads it. A push reads the
//! index of its own repository, which carries just the edges that its stacks can reach: a hundred
//! thousand stacks elsewhere cost it nothing.
use crate::definition::{DependsOn, Reference, StackDef};
use crate::id::{RepoName, Sha, SpaceId, StackId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `index/catalog.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Rises with each reconcile; definitions and indexes carry it.
    pub revision: u64,
    pub stacks: BTreeMap<StackId, Cataloged>,
    /// Stacks that left the definitions. Their state, outputs and runs lie where they lay, so the
    /// slug stays theirs.
    #[serde(default)]
    pub left: BTreeMap<StackId, Left>,
    /// The commit that each repository's definitions last came from.
    pub commits: BTreeMap<RepoName, Sha>,
}

/// Whose a stack was that left, and in which space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub owner: RepoName,
    pub space: SpaceId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cataloged {
    /// Whose definitions declare it.
    pub owner: RepoName,
    #[serde(default)]
    pub space: SpaceId,
    /// The revision that first knew it.
    pub since: u64,
    /// Where its code lies.
    pub repository: RepoName,
    pub branch: String,
    pub root: String,
    pub globs: Vec<String>,
    pub protected: bool,
    pub parents: Vec<DependsOn>,
}

/// `index/repos/<repo>.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoIndex {
    pub revision: u64,
    pub stacks: Vec<Indexed>,
    /// By parent: who runs after it, in whichever repository, as far as it can be reached.
    pub dependents: BTreeMap<StackId, Vec<Dependent>>,
}

/// One stack whose code lies in this repository. Short keys: there are thousands of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    #[serde(rename = "s")]
    pub stack: StackId,
    #[serde(rename = "b")]
    pub branch: String,
    #[serde(rename = "r")]
    pub root: String,
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<String>,
    #[serde(rename = "n")]
    pub since: u64,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    pub stack: StackId,
    pub repository: RepoName,
    pub branch: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
}

/// What a reconcile did to the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    pub catalog: Catalog,
    pub removed: BTreeSet<StackId>,
    /// Repositories whose index is another now.
    pub indexes: BTreeMap<RepoName, RepoIndex>,
}

/// The catalog after `owner`'s definitions became `stacks`.
///
/// One that changes nothing may be the rest of one that was cut off after the catalog was stored:
/// it names every index, for any of them may be missing.
#[must_use]
pub fn reconcile(
    before: &Catalog,
    owner: &RepoName,
    commit: &Sha,
    stacks: &[StackDef],
) -> Reconciled {
    let revision = before.revision + 1;
    let mut catalog = Catalog { revision, ..before.clone() };
    catalog.commits.insert(owner.clone(), commit.clone());
    catalog.stacks.retain(|_, known| known.owner != *owner);
    for def in stacks {
        let since = before.stacks.get(&def.slug).map_or(revision, |known| known.since);
        catalog.stacks.insert(def.slug.clone(), cataloged(owner, since, def));
        catalog.left.remove(&def.slug);
    }
    let mut removed = BTreeSet::new();
    for (slug, stack) in before.stacks.iter().filter(|(slug, _)| !catalog.stacks.contains_key(slug))
    {
        removed.insert(slug.clone());
        let (owner, space) = (stack.owner.clone(), stack.space.clone());
        catalog.left.insert(slug.clone(), Left { owner, space });
    }
    let repos: BTreeSet<&RepoName> =
        before.stacks.values().chain(catalog.stacks.values()).map(|s| &s.repository).collect();
    let cut_off = before.commits.get(owner) == Some(commit) && before.stacks == catalog.stacks;
    let (old, new) = (by_parent(before), by_parent(&catalog));
    let indexes = repos.into_iter().filter_map(|repo| {
        let index = repo_index(&catalog, &new, repo);
        let known = RepoIndex { revision, ..repo_index(before, &old, repo) };
        (cut_off || index != known).then(|| (repo.clone(), index))
    });
    let indexes = indexes.collect();
    Reconciled { removed, indexes, catalog }
}

fn cataloged(owner: &RepoName, since: u64, def: &StackDef) -> Cataloged {
    Cataloged {
        owner: owner.clone(),
        space: def.space.clone(),
        since,
        repository: def.repository.clone(),
        branch: def.branch.clone(),
        root: def.project_root.clone(),
        globs: def.additional_project_globs.clone(),
        protected: def.protect_from_deletion,
        parents: def.depends_on.clone(),
    }
}

fn by_parent(catalog: &Catalog) -> BTreeMap<&StackId, Vec<Dependent>> {
    let mut dependents: BTreeMap<&StackId, Vec<Dependent>> = BTreeMap::new();
    for (slug, stack) in &catalog.stacks {
        for edge in &stack.parents {
            dependents.entry(&edge.stack).or_default().push(Dependent {
                stack: slug.clone(),
                repository: stack.repository.clone(),
                branch: stack.branch.clone(),
                references: edge.references.clone(),
            });
        }
    }
    dependents
}

fn repo_index(
    catalog: &Catalog,
    by_parent: &BTreeMap<&StackId, Vec<Dependent>>,
    repo: &RepoName,
) -> RepoIndex {
    let here = catalog.stacks.iter().filter(|(_, stack)| stack.repository == *repo);
    let stacks: Vec<Indexed> = here
        .map(|(slug, stack)| Indexed {
            stack: slug.clone(),
            branch: stack.branch.clone(),
            root: stack.root.clone(),
            globs: stack.globs.clone(),
            since: stack.since,
            protected: stack.protected,
        })
        .collect();
    let mut dependents: BTreeMap<StackId, Vec<Dependent>> = BTreeMap::new();
    let mut reach: Vec<&StackId> = stacks.iter().map(|s| &s.stack).collect();
    while let Some(parent) = reach.pop() {
        if dependents.contains_key(parent) {
            continue;
        }
        let Some((_, edges)) = by_parent.get_key_value(parent) else { continue };
        dependents.insert(parent.clone(), edges.clone());
        reach.extend(edges.iter().map(|edge| &edge.stack));
    }
    RepoIndex { revision: catalog.revision, stacks, dependents }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fixture;

    fn edge(parent: &str) -> DependsOn {
        DependsOn { stack: parent.into(), references: vec![] }
    }

    #[test]
    fn an_index_carries_what_its_stacks_can_reach_and_nothing_else() {
        let stack = |slug: &str, repo: &str, parents: &[&str]| StackDef {
            repository: repo.into(),
            depends_on: parents.iter().map(|p| edge(p)).collect(),
            ..fixture(slug)
        };
        let first = reconcile(
            &Catalog::default(),
            &"infra".into(),
            &"c1".into(),
            &[stack("network", "infra", &[]), stack("cluster", "infra", &["network"])],
        );
        assert_eq!(first.indexes.keys().map(RepoName::as_str).collect::<Vec<_>>(), ["infra"]);
        let second = reconcile(
            &first.catalog,
            &"apps".into(),
            &"c2".into(),
            &[stack("app", "apps", &["cluster"]), stack("other", "apps", &[])],
        );
        // The edge into another repository changes the index of both.
        let infra = &second.indexes[&RepoName::from("infra")];
        assert_eq!(infra.stacks.len(), 2);
        assert_eq!(infra.dependents[&StackId::from("cluster")][0].stack, StackId::from("app"));
        assert!(second.indexes[&RepoName::from("apps")].dependents.is_empty());
        // A change elsewhere that infra can't reach leaves its index alone.
        let third = reconcile(
            &second.catalog,
            &"apps".into(),
            &"c3".into(),
            &[stack("app", "apps", &["cluster"])],
        );
        assert_eq!(third.indexes.keys().map(RepoName::as_str).collect::<Vec<_>>(), ["apps"]);
        assert_eq!(third.removed, BTreeSet::from(["other".into()]));
        assert_eq!(third.catalog.stacks[&StackId::from("app")].since, 2);
    }
    #[test]
    fn a_slug_stays_whose_it_was_until_it_comes_back() {
        let (owner, stacks) = (RepoName::from("infra"), [fixture("network")]);
        let first = reconcile(&Catalog::default(), &owner, &"c1".into(), &stacks);
        assert!(first.catalog.left.is_empty());
        let second = reconcile(&first.catalog, &owner, &"c2".into(), &[]);
        let left = Left { owner: owner.clone(), space: stacks[0].space.clone() };
        assert_eq!(second.catalog.left, BTreeMap::from([("network".into(), left)]));
        let others = [fixture("web")];
        let third = reconcile(&second.catalog, &"apps".into(), &"c3".into(), &others);
        assert_eq!(third.catalog.left, second.catalog.left);
        let fourth = reconcile(&third.catalog, &owner, &"c4".into(), &stacks);
        assert!(fourth.catalog.left.is_empty());
    }

    /// A crash between the catalog and the indexes: the second try must write them all the same.
    #[test]
    fn a_reconcile_that_was_cut_off_is_made_whole_by_the_next() {
        let (owner, commit) = ("infra".into(), "c1".into());
        let stacks = [fixture("network")];
        let first = reconcile(&Catalog::default(), &owner, &commit, &stacks);
        let again = reconcile(&first.catalog, &owner, &commit, &stacks);
        let content = |done: &Reconciled| done.indexes[&owner].stacks.clone();
        assert_eq!(content(&again), content(&first));
        assert!(again.indexes[&owner].revision > first.indexes[&owner].revision);
        let same = reconcile(&first.catalog, &owner, &"c2".into(), &stacks);
        assert!(same.indexes.is_empty(), "another commit that changes nothing writes nothing");
    }
}
