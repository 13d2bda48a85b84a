//! What the webhook function is told.
use crate::Served;
use std::sync::Arc;
use windlass_lambda::settings::{self, Store};
use windlass_lambda::{Configured, Vars};

#[derive(Clone, Debug)]
pub struct Config {
    pub store: Store,
    pub repositories: Vec<settings::Served>,
    /// References: where the secrets lie.
    pub secrets: Vec<String>,
}

impl Configured for Config {
    const VARS: &'static [&'static str] = &[
        settings::BUCKET,
        settings::LOG,
        settings::QUEUE_URL_PREFIX,
        settings::REPOSITORIES,
        settings::WEBHOOK_SECRETS,
    ];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        Self {
            store: Store::read(vars),
            repositories: settings::repositories(vars),
            secrets: settings::webhook_secrets(vars),
        }
    }
}

impl Config {
    #[must_use]
    pub fn served(&self) -> Arc<Vec<Served>> {
        let served = self.repositories.iter();
        let served =
            served.map(|one| Served { name: one.name.clone(), full_name: one.full_name.clone() });
        Arc::new(served.collect())
    }
}
