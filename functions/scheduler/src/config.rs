//! What the scheduler function is told.
use crate::Repository;
use std::sync::Arc;
use windlass_lambda::settings::{self, GithubAccess, Served, Store};
use windlass_lambda::{Configured, Vars};

#[derive(Clone, Debug)]
pub struct Config {
    pub store: Store,
    /// People's secrets lie under it.
    pub secrets_prefix: String,
    pub repositories: Vec<Served>,
    pub github: GithubAccess,
    /// The console's address, for links.
    pub url: String,
}

impl Configured for Config {
    const VARS: &'static [&'static str] = &[
        settings::BUCKET,
        settings::GITHUB_API,
        settings::GITHUB_APP_ID,
        settings::GITHUB_APP_KEY,
        settings::GITHUB_TOKEN,
        settings::LOG,
        settings::QUEUE_URL_PREFIX,
        settings::REPOSITORIES,
        settings::SECRETS_PREFIX,
        settings::URL,
    ];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        Self {
            store: Store::read(vars),
            secrets_prefix: vars.required(settings::SECRETS_PREFIX),
            repositories: settings::repositories(vars),
            github: GithubAccess::read(vars),
            url: settings::url(vars),
        }
    }
}

impl Config {
    #[must_use]
    pub fn served(&self) -> Arc<Vec<Repository>> {
        let served = self.repositories.iter().map(|served| Repository {
            name: served.name.clone(),
            default_branch: served.branch.clone(),
        });
        Arc::new(served.collect())
    }
}
