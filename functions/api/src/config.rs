//! What the api function is told.
use windlass_lambda::settings::{self, GithubAccess, Served, Store};
use windlass_lambda::{Configured, Vars};

#[derive(Clone, Debug)]
pub struct Config {
    pub store: Store,
    /// People's secrets lie under it.
    pub secrets_prefix: String,
    pub repositories: Vec<Served>,
    pub github: GithubAccess,
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
    ];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        Self {
            store: Store::read(vars),
            secrets_prefix: vars.required(settings::SECRETS_PREFIX),
            repositories: settings::repositories(vars),
            github: GithubAccess::read(vars),
        }
    }
}
