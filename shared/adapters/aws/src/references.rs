//! Secrets that the installation's own settings name: where each lies is told by its name.
use async_trait::async_trait;
use std::sync::Arc;
use windlass_ports::{Fault, Secrets};

/// Reads a reference: `arn:…:secretsmanager:…` from Secrets Manager, `/name` from the Parameter
/// Store. It only reads; whoever runs the account writes them.
pub struct References {
    parameters: Arc<dyn Secrets>,
    manager: Arc<dyn Secrets>,
    plain: bool,
}

/// Hexadecimal digits in a row that are taken for a secret itself, and for no parameter's name.
const HEX_CHARS_MAX: usize = 31;

impl References {
    /// `parameters` must take absolute names.
    #[must_use]
    pub fn new(parameters: Arc<dyn Secrets>, manager: Arc<dyn Secrets>) -> Self {
        Self { parameters, manager, plain: false }
    }

    /// Takes a parameter's name without any `/` too, where a setting is somebody else's and may say
    /// so. Ours do not: what looks like a name may be the secret itself.
    #[must_use]
    pub fn with_plain_names(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Whether this looks like a reference, for whoever reads settings.
    #[must_use]
    pub fn is_reference(text: &str) -> bool {
        is_secret(text) || is_parameter(text)
    }

    /// The value. That nothing is stored there is `Retryable`: somebody may be about to store it.
    pub async fn value(&self, reference: &str) -> Result<String, Fault> {
        required(reference, self.get(reference).await?)
    }

    /// The same past any cache.
    pub async fn fresh_value(&self, reference: &str) -> Result<String, Fault> {
        required(reference, self.fresh(reference).await?)
    }

    /// Whether it can be asked for this, for whoever wants to know at the start.
    #[must_use]
    pub fn takes(&self, reference: &str) -> bool {
        self.store(reference).is_ok()
    }

    fn store(&self, reference: &str) -> Result<&dyn Secrets, Fault> {
        match reference {
            _ if is_secret(reference) => Ok(&*self.manager),
            _ if is_parameter(reference) => Ok(&*self.parameters),
            _ if self.plain && is_plain_name(reference) => Ok(&*self.parameters),
            // Not shown: somebody may have put the secret itself where its name belongs.
            _ => Err(Fault::poison(
                "a setting names no secret: it must be the ARN of a secret in Secrets Manager, or \
                 a parameter's name, which begins with /",
            )),
        }
    }
}

fn is_secret(text: &str) -> bool {
    let mut parts = text.split(':');
    parts.next() == Some("arn") && parts.nth(1) == Some("secretsmanager")
}

fn is_parameter(text: &str) -> bool {
    text.starts_with('/') && text.len() > 1
}

fn is_plain_name(text: &str) -> bool {
    let named = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let is_value = text.len() > HEX_CHARS_MAX && text.bytes().all(|b| b.is_ascii_hexdigit());
    !text.is_empty() && text.bytes().all(named) && !is_value
}

fn required(reference: &str, value: Option<String>) -> Result<String, Fault> {
    value.ok_or_else(|| Fault::retryable(format!("no secret is stored as {reference}")))
}

fn read_only() -> Fault {
    Fault::poison("secrets that settings refer to are written by whoever runs the account")
}

#[async_trait]
impl Secrets for References {
    async fn get(&self, reference: &str) -> Result<Option<String>, Fault> {
        self.store(reference)?.get(reference).await
    }
    async fn fresh(&self, reference: &str) -> Result<Option<String>, Fault> {
        self.store(reference)?.fresh(reference).await
    }
    async fn set(&self, _: &str, _: &str) -> Result<(), Fault> {
        Err(read_only())
    }
    async fn remove(&self, _: &str) -> Result<bool, Fault> {
        Err(read_only())
    }
    async fn names(&self) -> Result<Vec<String>, Fault> {
        Err(read_only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with its own name before what it was asked for.
    struct Echo(&'static str);

    #[async_trait]
    impl Secrets for Echo {
        async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
            Ok((!name.ends_with("missing")).then(|| format!("{} {name}", self.0)))
        }
        async fn fresh(&self, name: &str) -> Result<Option<String>, Fault> {
            Ok(self.get(name).await?.map(|value| format!("fresh {value}")))
        }
        async fn set(&self, _: &str, _: &str) -> Result<(), Fault> {
            Ok(())
        }
        async fn remove(&self, _: &str) -> Result<bool, Fault> {
            Ok(true)
        }
        async fn names(&self) -> Result<Vec<String>, Fault> {
            Ok(vec![])
        }
    }

    #[tokio::test]
    async fn a_reference_tells_its_store() {
        let references = References::new(Arc::new(Echo("ssm")), Arc::new(Echo("manager")));
        for (reference, store) in [
            ("/windlass/token", "ssm"),
            ("/a", "ssm"),
            ("arn:aws:secretsmanager:eu-central-1:1234:secret:github-AbCdEf", "manager"),
            ("arn:aws-us-gov:secretsmanager:us-gov-west-1:1234:secret:github-AbCdEf", "manager"),
        ] {
            assert!(References::is_reference(reference));
            let expected = format!("{store} {reference}");
            assert_eq!(references.value(reference).await.unwrap(), expected);
            let fresh = references.fresh_value(reference).await.unwrap();
            assert_eq!(fresh, format!("fresh {expected}"));
        }
        for odd in ["ghp_do-not-show-me", "", "/", "arn:aws:s3:::secretsmanager", "github-token"] {
            assert!(!References::is_reference(odd));
            let fault = references.value(odd).await.unwrap_err();
            assert!(!fault.is_retryable() && !fault.chain().contains("ghp_"), "{odd}");
        }
        // Somebody else's setting may have a plain name; a key's secret is none.
        let references = references.with_plain_names();
        for (reference, is_one) in [
            ("github-token", true),
            ("Pool_key.2", true),
            ("dead-beef", true),
            ("a b", false),
            ("", false),
            ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false),
        ] {
            assert_eq!(references.takes(reference), is_one, "{reference}");
            let value = references.value(reference).await;
            assert_eq!(value.ok(), is_one.then(|| format!("ssm {reference}")), "{reference}");
        }
        let missing = references.value("/missing").await.unwrap_err();
        assert!(missing.is_retryable() && missing.chain().contains("/missing"));
        assert!(!references.set("/a", "some-value").await.unwrap_err().is_retryable());
    }
}
