//! Secrets in the Parameter Store: SecureStrings under one prefix.
use adapter_aws::{Aws, Failure, KEPT_MS, Kept};
use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use std::sync::OnceLock;
use windlass_ports::secrets::SECRET_CHARS_MIN;
use windlass_ports::{Fault, Secrets};

/// The most that a parameter holds. Over 4 KB it becomes an advanced one by itself, which AWS
/// charges for by the month.
pub const VALUE_BYTES_MAX: usize = 8_192;
/// Of a parameter's whole name, its ARN included by AWS's count; and how deep it may lie.
const NAME_CHARS_MAX: usize = 900;
const LEVELS_MAX: usize = 15;
const PAGE: i32 = 10;

/// Parameters by name under a prefix. Values are kept for [`KEPT_MS`].
pub struct SsmSecrets {
    aws: Aws,
    /// Made when the first secret is asked for: most starts ask for none here.
    client: OnceLock<Client>,
    prefix: String,
    kept: Kept,
}

impl SsmSecrets {
    /// `cluster/token` is the parameter `<prefix>cluster/token`. A prefix begins and ends with `/`;
    /// what is missing of that is added.
    #[must_use]
    pub fn new(aws: &Aws, prefix: &str) -> Self {
        let inner = prefix.trim_matches('/');
        Self::under(aws, if inner.is_empty() { "/".to_owned() } else { format!("/{inner}/") })
    }

    /// Takes the whole names of parameters, as in `/windlass/prod/webhook`, or `webhook` for one
    /// that is in no path.
    #[must_use]
    pub fn absolute(aws: &Aws) -> Self {
        Self::under(aws, String::new())
    }

    fn under(aws: &Aws, prefix: String) -> Self {
        let client = OnceLock::new();
        Self { aws: aws.clone(), client, prefix, kept: Kept::for_ms(KEPT_MS) }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.aws.config_for("SSM")))
    }

    /// The parameter of this name, if there can be one.
    fn parameter(&self, name: &str) -> Option<String> {
        let whole = format!("{}{name}", self.prefix);
        let fits = match whole.strip_prefix('/') {
            Some(path) => path.split('/').count() <= LEVELS_MAX && path.split('/').all(is_part),
            // A parameter outside of any path.
            None => is_part(&whole),
        };
        (fits && whole.len() <= NAME_CHARS_MAX).then_some(whole)
    }
}

fn is_part(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !part.is_empty() && part.bytes().all(allowed)
}

#[async_trait]
impl Secrets for SsmSecrets {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.kept.get(name) {
            Some(value) => Ok(Some(value)),
            None => self.fresh(name).await,
        }
    }

    async fn fresh(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(parameter) = self.parameter(name) else { return Ok(None) };
        let request = self.client().get_parameter().name(&parameter).with_decryption(true);
        let value = match request.send().await.map_err(Failure::of) {
            Ok(answer) => answer.parameter.and_then(|found| found.value),
            Err(failure) if failure.is(&["ParameterNotFound"]) => None,
            Err(failure) => return Err(failure.fault(format!("can't read the secret {parameter}"))),
        };
        self.kept.note(name, value.as_deref());
        Ok(value)
    }

    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        let Some(parameter) = self.parameter(name) else {
            return Err(Fault::poison(format!(
                "the Parameter Store takes no secret named {name:?}: a name has letters, digits, \
                 `_`, `.` and `-`, in up to {LEVELS_MAX} parts with a / between them"
            )));
        };
        if value.chars().count() < SECRET_CHARS_MIN {
            let sentence = format!("a secret has at least {SECRET_CHARS_MIN} characters");
            return Err(Fault::poison(sentence));
        }
        if value.len() > VALUE_BYTES_MAX {
            let sentence = format!("the Parameter Store takes {VALUE_BYTES_MAX} bytes at most");
            return Err(Fault::poison(sentence));
        }
        let request = self
            .client()
            .put_parameter()
            .name(&parameter)
            .value(value)
            .r#type(ParameterType::SecureString)
            .tier(ParameterTier::IntelligentTiering)
            .overwrite(true);
        let stored = request.send().await.map_err(Failure::of);
        // Whether it landed or not, what is kept may not be what is stored.
        self.kept.note(name, None);
        stored
            .map(drop)
            .map_err(|failure| failure.quiet_fault(format!("can't store the secret {parameter}")))
    }

    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        let Some(parameter) = self.parameter(name) else { return Ok(false) };
        let removed = self.client().delete_parameter().name(&parameter).send().await;
        self.kept.note(name, None);
        match removed.map_err(Failure::of) {
            Ok(_) => Ok(true),
            Err(failure) if failure.is(&["ParameterNotFound"]) => Ok(false),
            Err(failure) => Err(failure.fault(format!("can't remove the secret {parameter}"))),
        }
    }

    /// The values that come along are sealed, and dropped.
    async fn names(&self) -> Result<Vec<String>, Fault> {
        let path = match self.prefix.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let request = self
                .client()
                .get_parameters_by_path()
                .path(path)
                .recursive(true)
                .with_decryption(false)
                .max_results(PAGE)
                .set_next_token(token);
            let page = request.send().await.map_err(Failure::of);
            let page =
                page.map_err(|failure| failure.fault(format!("can't list the secrets in {path}")))?;
            let found = page.parameters.unwrap_or_default().into_iter().filter_map(|p| p.name);
            names.extend(found.filter_map(|n| n.strip_prefix(&self.prefix).map(str::to_owned)));
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        names.sort();
        Ok(names)
    }
}
