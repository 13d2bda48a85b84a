//! Text of definition files to a checked model, every fault with its place; and what a change of
//! that model would do.
//!
//! Pure: a shell reads the files of a commit and knows the rest of the world ([`World`]); this
//! crate says which files those are ([`includes`]), what they declare ([`parse`]), what would
//! change ([`diff`]), and what may not change without a person ([`needs_person`], [`refused`]).
//! One table of keys (`keys.rs`) feeds the reader, the JSON Schema and the reference page.
mod contexts;
mod diff;
mod format;
mod graph;
mod include;
mod keys;
mod model;
mod names;
mod overtaken;
mod problem;
mod reach;
mod read;
mod reference;
mod resolve;
mod roots;
mod schema;
mod shape;
mod spaces;
mod yaml;

pub use diff::{DefinitionsDiff, StackChange, diff, needs_person, refused};
pub use include::{Includes, ROOT_FILES, includes, is_definition_file};
pub use model::{
    ContextDef, DEFAULT_POOL, Definitions, OtherPool, OtherSpace, OtherStack, PoolDef, ROOT_SPACE,
    SourceFile, SpaceDef, World,
};
pub use overtaken::overtaken;
pub use problem::{Problem, render};
pub use reference::reference;
pub use roots::{FoundRoot, find_roots, propose};
pub use schema::schema;

use windlass_core::id::RepoName;

/// What these files of one commit declare: the root file and those that it [`includes`], in any
/// order. Stacks come out complete, with contexts merged in.
///
/// # Errors
/// Every fault of every file, in the order of the text, the root file's first.
pub fn parse(
    repo: &RepoName,
    default_branch: &str,
    files: &[SourceFile],
    world: &World,
) -> Result<Definitions, Vec<Problem>> {
    let is_root = |file: &&SourceFile| ROOT_FILES.contains(&file.path.as_str());
    let Some(root) = files.iter().filter(is_root).min_by_key(|file| &file.path) else {
        let message = "there is no such file".to_owned();
        let help = "`windlass up --repo .` proposes one, `--write` writes it".to_owned();
        return Err(vec![problem::whole_file(ROOT_FILES[0].to_owned(), message, Some(help))]);
    };
    let mut sorted: Vec<&SourceFile> = files.iter().filter(|file| !is_root(file)).collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    sorted.insert(0, root);
    let mut faults = problem::Faults::new(sorted.clone());
    let declared = read::files(&sorted, &mut faults);
    let home = resolve::Home { repo, default_branch, world };
    let definitions = resolve::resolve(&home, declared, &mut faults);
    let problems = faults.into_problems();
    if problems.is_empty() { Ok(definitions) } else { Err(problems) }
}
