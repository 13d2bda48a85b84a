//! Documents: each request says what it expects to find.
use crate::dated::Dated;
use crate::{Bucket, check, failure, is_absent};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use windlass_ports::docs::Docs;
use windlass_ports::{Expect, Fault, Found, Listed, PutError, Version};

/// 412: something else is stored. 409: somebody was writing at the same moment.
const LOST_RACE: [Option<u16>; 2] = [Some(412), Some(409)];

#[async_trait]
impl Docs for Bucket {
    async fn get(&self, key: &str) -> Result<Option<Found>, Fault> {
        let dated = Dated::default();
        let request = self.client.get_object().bucket(&self.name).key(key).customize();
        let answer = match request.interceptor(dated.clone()).send().await.map_err(failure) {
            Ok(answer) => answer,
            Err(failure) if is_absent(&failure) => return Ok(None),
            Err(failure) => return Err(self.fault(failure, "read", key)),
        };
        let age_ms = dated.age_ms(answer.last_modified());
        let version = Version(answer.e_tag().unwrap_or_default().to_owned());
        let body = self.read(key, answer.body).await?;
        Ok(Some(Found { version, body, age_ms }))
    }

    async fn put(&self, key: &str, expect: Expect, body: Vec<u8>) -> Result<Version, PutError> {
        check(key)?;
        let patience = self.patience(body.len());
        let request = self.client.put_object().bucket(&self.name).key(key);
        let (request, swaps) = match expect {
            Expect::Absent => (request.if_none_match("*"), false),
            Expect::At(Version(tag)) => (request.if_match(tag), true),
        };
        let request = request.body(ByteStream::from(body)).customize();
        let config = aws_sdk_s3::Config::builder().timeout_config(patience);
        match request.config_override(config).send().await.map_err(failure) {
            Ok(answer) => Ok(Version(answer.e_tag.unwrap_or_default())),
            Err(failure) if LOST_RACE.contains(&failure.status()) => Err(PutError::Conflict),
            Err(failure) if swaps && is_absent(&failure) => Err(PutError::Conflict),
            Err(failure) => Err(PutError::Fault(self.fault(failure, "write", key))),
        }
    }

    async fn delete(&self, key: &str, expect: &Version) -> Result<(), PutError> {
        let request = self.client.delete_object().bucket(&self.name).key(key).if_match(&expect.0);
        match request.send().await.map_err(failure) {
            Ok(_) => Ok(()),
            Err(failure) if is_absent(&failure) => Ok(()),
            Err(failure) if LOST_RACE.contains(&failure.status()) => self.gone(key).await,
            Err(failure) => Err(PutError::Fault(self.fault(failure, "delete", key))),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        self.page(prefix, after, limit).await
    }
}

impl Bucket {
    /// After a refused deletion: what is absent was deleted, perhaps by our own earlier try.
    async fn gone(&self, key: &str) -> Result<(), PutError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await.map_err(failure) {
            Ok(_) => Err(PutError::Conflict),
            Err(failure) if is_absent(&failure) => Ok(()),
            Err(failure) => Err(PutError::Fault(self.fault(failure, "look for", key))),
        }
    }

    /// The whole body, its checksum compared.
    pub(crate) async fn read(&self, key: &str, body: ByteStream) -> Result<Vec<u8>, Fault> {
        let what = || format!("{key} in the bucket {} broke off", self.name);
        let bytes = body.collect().await.map_err(|e| Fault::retryable_from(what(), e))?;
        Ok(bytes.to_vec())
    }
}
