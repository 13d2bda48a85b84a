//! Declared things to definitions: names found, defaults filled in, contexts merged, and all
//! that concerns more than one place checked.
use crate::contexts::Contexts;
use crate::graph;
use crate::model::{DEFAULT_POOL, Definitions, OtherPool, PoolDef, World};
use crate::names::Names;
use crate::problem::{At, Faults, Text, quote};
use crate::read::{self, Declared};
use crate::spaces::{Spaces, closed};
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::definition::{DependsOn, StackDef, administrative_slug};
use windlass_core::id::{PoolId, RepoName, SpaceId, StackId};
use windlass_core::keys::CONTROL_POOL;

/// A pool's name becomes part of two queues' names, which SQS bounds to 80 characters.
const POOL_CHARS_MAX: usize = 60;

/// The repository whose files are read.
pub(crate) struct Home<'a> {
    pub(crate) repo: &'a RepoName,
    pub(crate) default_branch: &'a str,
    pub(crate) world: &'a World,
}

pub(crate) fn resolve(home: &Home<'_>, declared: Declared, faults: &mut Faults<'_>) -> Definitions {
    let Declared { spaces, pools, contexts, stacks } = declared;
    let (spaces, space_defs) = Spaces::resolve(&spaces, home.repo, home.world, faults);
    let carried =
        contexts.iter().map(|one| &one.carried).chain(stacks.iter().map(|one| &one.carried));
    for secret in carried.flat_map(|carried| &carried.secrets) {
        home.check_secret(secret, faults);
    }
    let pools = Pools::resolve(pools, home, &spaces, faults);
    let contexts = Contexts::resolve(contexts, &spaces, faults);
    let names = stack_names(home, &stacks, faults);
    let resolver = Resolver { home, spaces: &spaces, pools: &pools, contexts: &contexts, names };
    let mut edges = Vec::new();
    let mut defs = BTreeMap::new();
    for stack in stacks {
        let slug = windlass_core::definition::slug(&stack.name.text);
        let (def, waits) = resolver.stack(&slug, stack, faults);
        edges.push((slug.clone(), waits));
        defs.entry(slug).or_insert(def);
    }
    check_circles(&edges, home.world, faults);
    let stacks = defs.into_values().collect();
    let contexts = contexts.into_defs();
    Definitions { spaces: space_defs, worker_pools: pools.defs, contexts, stacks }
}

struct Pools {
    names: Names,
    defs: Vec<PoolDef>,
    others: BTreeMap<PoolId, OtherPool>,
}

impl Pools {
    fn resolve(
        declared: Vec<read::Pool>,
        home: &Home<'_>,
        spaces: &Spaces<'_>,
        faults: &mut Faults<'_>,
    ) -> Self {
        let mut names = Names::new("worker pool");
        names.know(DEFAULT_POOL);
        for pool in home.world.pools.keys() {
            names.know(pool.as_str());
        }
        let mut defs = Vec::new();
        for pool in declared {
            let space = spaces.find(pool.space.as_ref(), faults);
            let Some(slug) = names.declare(&pool.name, faults) else { continue };
            if slug == CONTROL_POOL {
                let message = format!("the pool `{CONTROL_POOL}` is the control plane's own");
                faults.add(pool.name.at, message, Some("choose another name".to_owned()));
            }
            let slug = PoolId(slug);
            if let Some(repository) = elsewhere(home, &slug) {
                let message = format!("worker pool `{slug}` is declared by {repository} already");
                faults.add(pool.name.at, message, Some("choose another name".to_owned()));
            }
            if slug.0.len() > POOL_CHARS_MAX {
                let message = format!("a pool's name has at most {POOL_CHARS_MAX} characters");
                faults.add(pool.name.at, message, None);
            }
            let at = pool.space.as_ref().map_or(pool.name.at, |space| space.at);
            spaces.check_granted(&space, &format!("pool `{slug}`"), at, home.repo, faults);
            defs.push(PoolDef {
                slug,
                name: pool.name.text,
                description: pool.description,
                space: SpaceId(space),
                drift_budget: pool.drift_budget,
            });
        }
        defs.sort_by(|a, b| a.slug.cmp(&b.slug));
        Self { names, defs, others: home.world.pools.clone() }
    }

    /// The pool of a stack in this space.
    fn find(
        &self,
        name: Option<&Text>,
        space: &str,
        spaces: &Spaces<'_>,
        faults: &mut Faults<'_>,
    ) -> PoolId {
        let Some(name) = name else { return DEFAULT_POOL.into() };
        if name.text == CONTROL_POOL {
            let message =
                format!("the pool `{CONTROL_POOL}` runs the control plane's own jobs only");
            faults.add(name.at, message, None);
            return DEFAULT_POOL.into();
        }
        let Some(slug) = self.names.find(name, faults) else { return DEFAULT_POOL.into() };
        let slug = PoolId(slug);
        let own = self.defs.binary_search_by(|def| def.slug.cmp(&slug)).ok();
        let own = own.and_then(|index| self.defs.get(index)).map(|def| &def.space);
        let whose = own.or_else(|| self.others.get(&slug).map(|other| &other.space));
        if let Some(whose) = whose.filter(|whose| !spaces.is_inside(space, whose.as_str())) {
            let message =
                format!("worker pool `{slug}` is for space `{whose}`, the stack is in `{space}`");
            faults.add(name.at, message, None);
        }
        slug
    }
}

/// Another repository that declares this pool.
fn elsewhere<'a>(home: &Home<'a>, slug: &PoolId) -> Option<&'a RepoName> {
    home.world.pools.get(slug)?.repository.as_ref().filter(|repository| *repository != home.repo)
}

/// All stacks that may be waited for; those of the files are checked to be new.
fn stack_names(home: &Home<'_>, stacks: &[read::Stack], faults: &mut Faults<'_>) -> Names {
    let mut names = Names::new("stack");
    let administrative = administrative_slug(home.repo);
    for slug in home.world.stacks.keys() {
        names.know(slug.as_str());
    }
    for stack in stacks {
        let Some(slug) = names.declare(&stack.name, faults) else { continue };
        let owner = match home.world.stacks.get(&StackId(slug.clone())) {
            Some(other) => format!("belongs to repository `{}`", other.repository),
            None if slug == administrative.0 => {
                "is this repository's administrative stack".to_owned()
            }
            None => continue,
        };
        let help = Some("choose another name".to_owned());
        faults.add(stack.name.at, format!("stack `{slug}` {owner}"), help);
    }
    names
}

/// A stack that left comes back only to whose it was: its state, outputs and runs are still there.
fn check_left(home: &Home<'_>, slug: &str, at: At, spaces: &Spaces<'_>, faults: &mut Faults<'_>) {
    let Some(left) = home.world.left.get(&StackId(slug.to_owned())) else { return };
    if left.owner == *home.repo {
        spaces.check_granted(
            left.space.as_str(),
            &format!("what stack `{slug}` left"),
            at,
            home.repo,
            faults,
        );
        return;
    }
    let message =
        format!("stack `{slug}` was repository `{}`'s, and what it left is kept", left.owner);
    let help = format!(
        "choose another name, or let `{}` declare it, with `repository: {}` for its code",
        left.owner, home.repo
    );
    faults.add(at, message, Some(help));
}

struct Resolver<'a> {
    home: &'a Home<'a>,
    spaces: &'a Spaces<'a>,
    pools: &'a Pools,
    contexts: &'a Contexts,
    names: Names,
}

/// What a stack waits for, and where that is written.
type Waits = Vec<(String, At)>;

impl Resolver<'_> {
    fn stack(&self, slug: &str, stack: read::Stack, faults: &mut Faults<'_>) -> (StackDef, Waits) {
        let space = self.spaces.find(stack.space.as_ref(), faults);
        let at = stack.space.as_ref().map_or(stack.name.at, |space| space.at);
        let what = format!("stack `{slug}`");
        self.spaces.check_granted(&space, &what, at, self.home.repo, faults);
        check_left(self.home, slug, stack.name.at, self.spaces, faults);
        let pool = self.pools.find(stack.worker_pool.as_ref(), &space, self.spaces, faults);
        let (repository, default_branch) = self.repository(stack.repository.as_ref(), faults);
        let at_home = repository == *self.home.repo;
        let labels: BTreeSet<String> = stack.labels.into_iter().collect();
        let attached = self.contexts.attach(&stack.contexts, &labels, &space, self.spaces, faults);
        let (depends_on, waits) = self.edges(&stack.depends_on, faults);
        let def = StackDef {
            slug: StackId(slug.to_owned()),
            name: stack.name.text,
            description: stack.description,
            space: SpaceId(space),
            repository,
            branch: stack.branch.unwrap_or(default_branch),
            project_root: stack.project_root.unwrap_or(if at_home {
                stack.folder
            } else {
                String::new()
            }),
            additional_project_globs: stack.additional_project_globs,
            env: attached.env(stack.carried.env),
            files: attached.files(stack.carried.files),
            hooks: attached.hooks(&stack.carried.hooks),
            labels,
            tool: stack.tool,
            version: stack.version,
            workspace: stack.workspace.unwrap_or_else(|| "default".to_owned()),
            worker_pool: pool,
            autodeploy: stack.autodeploy,
            protect_from_deletion: stack.protect_from_deletion,
            on_delete: stack.on_delete,
            timeouts: stack.timeouts,
            drift: stack.drift,
            depends_on,
            manage_state: stack.manage_state,
            administrative: false,
        };
        (def, waits)
    }

    /// The repository of the code, and its default branch.
    fn repository(&self, name: Option<&Text>, faults: &mut Faults<'_>) -> (RepoName, String) {
        let home = || (self.home.repo.clone(), self.home.default_branch.to_owned());
        let Some(name) = name.filter(|name| name.text != self.home.repo.0) else { return home() };
        let repository = RepoName(name.text.clone());
        let Some(known) = &self.home.world.repositories else {
            return (repository, self.home.default_branch.to_owned());
        };
        if let Some(branch) = known.get(&repository) {
            if !self.home.may_name_code_of(&repository) {
                let message =
                    format!("repository `{repository}` shares no space with `{}`", self.home.repo);
                let help = "name both in the `repositories` of one space".to_owned();
                faults.add(name.at, message, Some(help));
            }
            return (repository, branch.clone());
        }
        let others = known.keys().filter(|name| self.home.may_name_code_of(name));
        let others = others.map(RepoName::as_str).chain([self.home.repo.as_str()]);
        let help = faults.nearest(&name.text, others);
        faults.add(name.at, format!("unknown repository {}", quote(&name.text)), help);
        home()
    }

    fn edges(
        &self,
        declared: &[read::Dependency],
        faults: &mut Faults<'_>,
    ) -> (Vec<DependsOn>, Waits) {
        let mut found: BTreeMap<String, DependsOn> = BTreeMap::new();
        let mut waits = Vec::new();
        for edge in declared {
            let Some(slug) = self.names.find(&edge.stack, faults) else { continue };
            self.home.check_edge(&slug, edge.stack.at, self.spaces, faults);
            let stack = StackId(slug.clone());
            waits.push((slug.clone(), edge.stack.at));
            let references = edge.references.clone();
            if found.insert(slug.clone(), DependsOn { stack, references }).is_some() {
                let message = format!("stack `{slug}` is depended on twice");
                let help = "put its references into one entry".to_owned();
                faults.add(edge.stack.at, message, Some(help));
            }
        }
        (found.into_values().collect(), waits)
    }
}

/// Circles through this repository's stacks; edges of other repositories count.
fn check_circles(own: &[(String, Waits)], world: &World, faults: &mut Faults<'_>) {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (slug, other) in &world.stacks {
        edges.insert(slug.as_str(), other.depends_on.iter().map(StackId::as_str).collect());
    }
    let mut places: BTreeMap<(&str, &str), At> = BTreeMap::new();
    for (slug, waits) in own {
        edges.insert(slug, waits.iter().map(|(to, _)| to.as_str()).collect());
        for (to, at) in waits {
            places.entry((slug, to)).or_insert(*at);
        }
    }
    for circle in graph::circles(&edges) {
        let next = circle.iter().skip(1).chain(circle.first());
        let at = circle.iter().zip(next).find_map(|(from, to)| places.get(&(*from, *to)));
        // A circle without an edge of this repository is another's to mend.
        let Some(at) = at else { continue };
        let message = match circle.as_slice() {
            [one] => format!("stack `{one}` depends on itself"),
            _ => format!("stacks wait for each other: {}", closed(&circle)),
        };
        faults.add(*at, message, None);
    }
}
