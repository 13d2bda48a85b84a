//! What contexts add to a stack, in Spacelift's order of precedence.
//!
//! Of one name, the stack's own entry beats that of a context which the stack names (lowest
//! priority first), and that beats an auto-attached one (first in the alphabet first). Hooks
//! before a phase run from the weakest owner to the stack, except that named contexts come
//! first, by rising priority; after it in exactly the opposite order of owners.
use crate::model::ContextDef;
use crate::names::Names;
use crate::problem::{Faults, Text, quote};
use crate::read;
use crate::spaces::Spaces;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::definition::{EnvVar, FileMount, Hooks};
use windlass_core::id::SpaceId;

const AUTOATTACH: &str = "autoattach:";

/// The contexts of a repository, found by name and by label.
pub(crate) struct Contexts {
    names: Names,
    by_slug: BTreeMap<String, ContextDef>,
    /// Label (`*` for all) → slugs.
    by_label: BTreeMap<String, BTreeSet<String>>,
}

/// Contexts of one stack, each list in the order in which it was attached.
pub(crate) struct Attached<'c> {
    /// By rising priority; at a tie as named.
    named: Vec<&'c ContextDef>,
    /// In alphabetical order.
    auto: Vec<&'c ContextDef>,
}

impl Contexts {
    pub(crate) fn resolve(
        declared: Vec<read::Context>,
        spaces: &Spaces<'_>,
        faults: &mut Faults<'_>,
    ) -> Self {
        let mut contexts = Self {
            names: Names::new("context"),
            by_slug: BTreeMap::new(),
            by_label: BTreeMap::new(),
        };
        for context in declared {
            let space = spaces.find(context.space.as_ref(), faults);
            let Some(slug) = contexts.names.declare(&context.name, faults) else { continue };
            for label in &context.labels {
                if let Some(wanted) = label.text.strip_prefix(AUTOATTACH) {
                    let slugs = contexts.by_label.entry(wanted.trim().to_owned()).or_default();
                    slugs.insert(slug.clone());
                }
            }
            let def = ContextDef {
                slug: slug.clone(),
                name: context.name.text,
                description: context.description,
                labels: context.labels.into_iter().map(|label| label.text).collect(),
                priority: context.priority,
                space: SpaceId(space),
                env: context.carried.env,
                files: context.carried.files,
                hooks: context.carried.hooks,
            };
            contexts.by_slug.insert(slug, def);
        }
        contexts
    }

    pub(crate) fn into_defs(self) -> Vec<ContextDef> {
        self.by_slug.into_values().collect()
    }

    /// The contexts of a stack with these labels in this space.
    pub(crate) fn attach(
        &self,
        named: &[Text],
        labels: &BTreeSet<String>,
        space: &str,
        spaces: &Spaces<'_>,
        faults: &mut Faults<'_>,
    ) -> Attached<'_> {
        let mut taken = BTreeSet::new();
        let mut attached = Attached { named: Vec::new(), auto: Vec::new() };
        for name in named {
            let Some(slug) = self.names.find(name, faults) else { continue };
            let Some(def) = self.by_slug.get(&slug) else { continue };
            if !taken.insert(slug) {
                faults.add(name.at, format!("context {} is named twice", quote(&name.text)), None);
                continue;
            }
            if !spaces.is_inside(space, def.space.as_str()) {
                let message = format!(
                    "context {} is for space `{}`, the stack is in `{space}`",
                    quote(&name.text),
                    def.space
                );
                faults.add(name.at, message, None);
            }
            attached.named.push(def);
        }
        attached.named.sort_by_key(|def| def.priority);
        let wanted = labels.iter().map(String::as_str).chain(["*"]);
        let auto: BTreeSet<&String> =
            wanted.filter_map(|label| self.by_label.get(label)).flatten().collect();
        attached.auto = auto
            .into_iter()
            .filter(|slug| !taken.contains(*slug))
            .filter_map(|slug| self.by_slug.get(slug))
            .filter(|def| spaces.is_inside(space, def.space.as_str()))
            .collect();
        attached
    }
}

impl<'c> Attached<'c> {
    /// From the weakest to the strongest.
    fn rising(&self) -> impl Iterator<Item = &'c ContextDef> {
        self.auto.iter().rev().chain(self.named.iter().rev()).copied()
    }

    /// A later entry of one name wins; of two with one name only the winner is kept.
    pub(crate) fn env(&self, own: Vec<EnvVar>) -> Vec<EnvVar> {
        let all = self.rising().flat_map(|def| def.env.iter().cloned()).chain(own).collect();
        last_of_each(all, |variable: &EnvVar| variable.name.clone())
    }

    pub(crate) fn files(&self, own: Vec<FileMount>) -> Vec<FileMount> {
        let all = self.rising().flat_map(|def| def.files.iter().cloned()).chain(own).collect();
        last_of_each(all, |mount: &FileMount| mount.path.clone())
    }

    pub(crate) fn hooks(&self, own: &Hooks) -> Hooks {
        let before = |pick: fn(&Hooks) -> &Vec<String>| -> Vec<String> {
            let contexts = self.named.iter().chain(self.auto.iter().rev());
            let hooks = contexts.map(|def| &def.hooks).chain([own]);
            hooks.flat_map(pick).cloned().collect()
        };
        let after = |pick: fn(&Hooks) -> &Vec<String>| -> Vec<String> {
            let contexts = self.auto.iter().chain(self.named.iter().rev());
            let hooks = [own].into_iter().chain(contexts.map(|def| &def.hooks));
            hooks.flat_map(pick).cloned().collect()
        };
        Hooks {
            before_init: before(|hooks| &hooks.before_init),
            after_init: after(|hooks| &hooks.after_init),
            before_plan: before(|hooks| &hooks.before_plan),
            after_plan: after(|hooks| &hooks.after_plan),
            before_apply: before(|hooks| &hooks.before_apply),
            after_apply: after(|hooks| &hooks.after_apply),
            before_perform: before(|hooks| &hooks.before_perform),
            after_perform: after(|hooks| &hooks.after_perform),
            before_destroy: before(|hooks| &hooks.before_destroy),
            after_destroy: after(|hooks| &hooks.after_destroy),
            after_run: after(|hooks| &hooks.after_run),
        }
    }
}

fn last_of_each<T>(all: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let last: BTreeMap<String, usize> =
        all.iter().enumerate().map(|(index, item)| (key(item), index)).collect();
    let keep: BTreeSet<usize> = last.into_values().collect();
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| keep.contains(index))
        .map(|(_, item)| item)
        .collect()
}
