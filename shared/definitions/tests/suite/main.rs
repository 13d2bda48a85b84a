//! The crate as its users see it: text in; definitions, faults, diffs, schema and proposals out.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
mod contexts;
mod diffs;
mod example;
mod faults;
mod hostile;
mod roots;
mod schema;
mod speed;

use windlass_core::id::RepoName;
use windlass_definitions::{Definitions, Problem, SourceFile, World, parse};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

/// The root file alone, in the repository `infra`.
fn read(text: &str, world: &World) -> Result<Definitions, Vec<Problem>> {
    parse(&RepoName::from("infra"), "main", &[file("windlass.yaml", text)], world)
}

fn good(text: &str) -> Definitions {
    match read(text, &World::default()) {
        Ok(definitions) => definitions,
        Err(problems) => panic!("{}", windlass_definitions::render(&problems)),
    }
}
