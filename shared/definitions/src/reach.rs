//! What of the installation the files of a repository may name. The owner of the root space may
//! name anything; another one only its own, and what was given to it.
use crate::model::ROOT_SPACE;
use crate::problem::{At, Faults, Text, quote};
use crate::resolve::Home;
use crate::spaces::Spaces;
use windlass_core::id::{RepoName, SpaceId, StackId};

impl Home<'_> {
    fn owns_everything(&self) -> bool {
        self.world.granted.contains(&SpaceId(ROOT_SPACE.to_owned()))
    }

    /// Secrets have no space: their names say whose they are, `<space>/…`. Only a space that the root
    /// space's owner declares counts, for whoever was granted one may declare another of any name
    /// below it, and grant that.
    pub(crate) fn may_name_secret(&self, name: &str) -> bool {
        let first = name.split_once('/').map(|(first, _)| SpaceId(first.to_owned()));
        self.owns_everything() || first.is_some_and(|first| self.world.vouched.contains(&first))
    }

    pub(crate) fn check_secret(&self, name: &Text, faults: &mut Faults<'_>) {
        let secret = quote(&name.text);
        if !self.may_name_secret(&name.text) {
            let message = format!("secret {secret} is not for repository `{}`", self.repo);
            let help = match self.world.vouched.first() {
                Some(space) => format!("store it under a name that begins with `{space}/`"),
                None => "the root space's owner granted it no space".to_owned(),
            };
            faults.add(name.at, message, Some(help));
            return;
        }
        let Some(known) = &self.world.secrets else { return };
        if known.contains(&name.text) {
            return;
        }
        let theirs = known.iter().map(String::as_str).filter(|name| self.may_name_secret(name));
        let near = faults.nearest(&name.text, theirs);
        let help =
            near.unwrap_or_else(|| format!("store it with `windlass secret set {}`", name.text));
        faults.add(name.at, format!("unknown secret {secret}"), Some(help));
    }

    /// Whose code a stack here may run.
    pub(crate) fn may_name_code_of(&self, other: &RepoName) -> bool {
        self.owns_everything() || other == self.repo || self.world.beside.contains(other)
    }

    /// A stack that depends on another one reads its outputs and holds up its removal.
    pub(crate) fn check_edge(
        &self,
        stack: &str,
        at: At,
        spaces: &Spaces<'_>,
        faults: &mut Faults<'_>,
    ) {
        let Some(other) = self.world.stacks.get(&StackId(stack.to_owned())) else { return };
        let space = other.space.as_str();
        if spaces.is_granted(space) || spaces.is_among(space, &self.world.shared) {
            return;
        }
        let message = format!(
            "stack `{stack}` lies in space `{space}`, which is not shared with repository `{}`",
            self.repo
        );
        let help =
            format!("name the repository in the `shared_with` of a space that holds `{stack}`");
        faults.add(at, message, Some(help));
    }
}
