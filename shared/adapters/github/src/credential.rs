//! Where a token or a key comes from.
use async_trait::async_trait;
use std::sync::Arc;
use windlass_ports::{Fault, Secrets};

#[async_trait]
pub trait Credential: Send + Sync {
    /// `fresh`: past any cache, because GitHub has just refused what this gave before.
    async fn read(&self, fresh: bool) -> Result<String, Fault>;
}

/// A secret by its name in a [`Secrets`] port: an SSM parameter, a Secrets Manager ARN.
pub struct Named {
    secrets: Arc<dyn Secrets>,
    name: String,
}

impl Named {
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>, name: impl Into<String>) -> Self {
        Self { secrets, name: name.into() }
    }
}

#[async_trait]
impl Credential for Named {
    async fn read(&self, fresh: bool) -> Result<String, Fault> {
        let found = match fresh {
            true => self.secrets.fresh(&self.name).await?,
            false => self.secrets.get(&self.name).await?,
        };
        // It may be put there any time, so it is worth another try.
        found.ok_or_else(|| Fault::retryable(format!("there is no secret {}", self.name)))
    }
}

/// A value that is known already.
pub struct Fixed(String);

impl Fixed {
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
}

#[async_trait]
impl Credential for Fixed {
    async fn read(&self, _fresh: bool) -> Result<String, Fault> {
        Ok(self.0.clone())
    }
}
