//! GitHub as the settings have it.
use crate::settings::{GithubAccess, GithubKey, Served};
use adapter_github::{Auth, Config, Credential, Named};
use std::sync::Arc;
use windlass_ports::Secrets;

/// Each credential is read through `references`, when it is needed.
pub fn github(access: &GithubAccess, served: &[Served], references: Arc<dyn Secrets>) -> Config {
    let named = |name: &String| -> Arc<dyn Credential> {
        Arc::new(Named::new(references.clone(), name.clone()))
    };
    let auth = match &access.key {
        GithubKey::Token { token } => Auth::Token(named(token)),
        GithubKey::App { id, key } => Auth::App { id: id.clone(), key: named(key) },
    };
    let repositories = served.iter().map(|s| (s.name.clone(), s.full_name.clone())).collect();
    Config { api_url: access.api.clone(), repositories, auth }
}
