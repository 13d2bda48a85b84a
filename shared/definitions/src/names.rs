//! Names to slugs: who is known under which, and what was meant by one that is not.
use crate::problem::{At, Faults, Text, quote};
use std::collections::BTreeMap;
use windlass_core::definition::slug;

/// All names of one kind: spaces, pools, contexts or stacks.
pub(crate) struct Names {
    /// What a message calls one of them.
    kind: &'static str,
    /// Name or slug → slug.
    known: BTreeMap<String, String>,
    /// Slugs that were declared here, and where.
    declared: BTreeMap<String, At>,
}

impl Names {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, known: BTreeMap::new(), declared: BTreeMap::new() }
    }

    /// One that exists anyway.
    pub(crate) fn know(&mut self, slug: &str) {
        self.known.insert(slug.to_owned(), slug.to_owned());
    }

    /// One that a file declares: its slug, or None when another one has it already.
    pub(crate) fn declare(&mut self, name: &Text, faults: &mut Faults<'_>) -> Option<String> {
        let slug = slug(&name.text);
        if slug.is_empty() {
            return None;
        }
        if let Some(first) = self.declared.get(&slug) {
            let place = format!("{}:{}", faults.path(*first), first.line);
            let message = if slug == name.text {
                format!("duplicate {} `{slug}`: first declared at {place}", self.kind)
            } else {
                format!(
                    "duplicate {}: {} has the slug `{slug}`, first declared at {place}",
                    self.kind,
                    quote(&name.text)
                )
            };
            faults.add(name.at, message, Some("rename one of them".to_owned()));
            return None;
        }
        self.declared.insert(slug.clone(), name.at);
        self.known.insert(name.text.clone(), slug.clone());
        self.known.insert(slug.clone(), slug.clone());
        Some(slug)
    }

    /// The slug that is meant; an unknown one is a fault.
    pub(crate) fn find(&self, name: &Text, faults: &mut Faults<'_>) -> Option<String> {
        if let Some(slug) = self.known.get(&name.text) {
            return Some(slug.clone());
        }
        if faults.incomplete {
            return None;
        }
        let help = faults.nearest(&name.text, self.known.keys().map(String::as_str));
        let message = format!("unknown {} {}", self.kind, quote(&name.text));
        faults.add(name.at, message, help);
        None
    }
}
