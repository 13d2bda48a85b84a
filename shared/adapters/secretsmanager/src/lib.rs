//! Secrets in Secrets Manager, by name or ARN. They are only read.
//!
//! Whoever runs the account makes and rotates them, by AWS's own means; Windlass has no permission
//! to. Its own secrets, which people set through it, lie elsewhere.
use adapter_aws::{Aws, Failure, KEPT_MS, Kept};
use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use std::sync::OnceLock;
use windlass_ports::{Fault, Secrets};

/// Current values, kept for [`KEPT_MS`].
pub struct ManagerSecrets {
    aws: Aws,
    /// Made when the first secret is asked for: most starts ask for none here.
    client: OnceLock<Client>,
    kept: Kept,
}

impl ManagerSecrets {
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), kept: Kept::for_ms(KEPT_MS) }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.aws.config_for("SECRETS_MANAGER")))
    }
}

fn read_only() -> Fault {
    Fault::poison("secrets in Secrets Manager are written by whoever runs the account")
}

#[async_trait]
impl Secrets for ManagerSecrets {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.kept.get(name) {
            Some(value) => Ok(Some(value)),
            None => self.fresh(name).await,
        }
    }

    async fn fresh(&self, name: &str) -> Result<Option<String>, Fault> {
        let answer = self.client().get_secret_value().secret_id(name).send().await;
        let value = match answer.map_err(Failure::of) {
            Ok(found) => Some(found.secret_string.ok_or_else(|| {
                Fault::retryable(format!("the secret {name} is stored as bytes, not as text"))
            })?),
            Err(failure) if failure.is(&["ResourceNotFoundException"]) => None,
            Err(failure) => return Err(failure.fault(format!("can't read the secret {name}"))),
        };
        self.kept.note(name, value.as_deref());
        Ok(value)
    }

    /// Refused, as `Poison`.
    async fn set(&self, _: &str, _: &str) -> Result<(), Fault> {
        Err(read_only())
    }

    /// Refused, as `Poison`.
    async fn remove(&self, _: &str) -> Result<bool, Fault> {
        Err(read_only())
    }

    /// Refused, as `Poison`: an account holds secrets that are none of ours.
    async fn names(&self) -> Result<Vec<String>, Fault> {
        Err(read_only())
    }
}
