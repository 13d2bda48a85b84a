//! The templates and the module against linters, against the code, and against what they may cost.
#![expect(clippy::unwrap_used, reason = "a gate that cannot look has failed")]

mod agree;
mod bill;
mod lint;
mod packages;
mod policies;
mod pool_agree;
mod pool_docs;
mod pool_module;
mod pool_script;

use e2e::cloud::template::{Template, translate};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn translated() -> Value {
    translate(&root().join("infra/template.yaml")).unwrap()
}

/// As somebody deploys it who only says which repositories.
fn template() -> Template {
    let repositories = ("Repositories", "infra=acme/infra@main".to_owned());
    Template::new("windlass", translated(), &[repositories]).unwrap()
}
