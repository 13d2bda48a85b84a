//! What the drift function is told.
use windlass_lambda::settings::{self, Store};
use windlass_lambda::{Configured, Vars};

#[derive(Clone, Debug)]
pub struct Config {
    pub store: Store,
}

impl Configured for Config {
    const VARS: &'static [&'static str] =
        &[settings::BUCKET, settings::LOG, settings::QUEUE_URL_PREFIX];

    fn read(vars: &mut Vars<'_>) -> Self {
        settings::log(vars);
        Self { store: Store::read(vars) }
    }
}
