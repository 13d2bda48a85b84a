//! Blobs: plain requests under plain keys.
use crate::{Bucket, check, failure, is_absent};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use windlass_ports::{Blobs, Fault};

#[async_trait]
impl Blobs for Bucket {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Fault> {
        check(key)?;
        let config = aws_sdk_s3::Config::builder().timeout_config(self.patience(body.len()));
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.body(ByteStream::from(body)).customize().config_override(config);
        let sent = request.send().await.map_err(failure);
        sent.map(drop).map_err(|failure| self.fault(failure, "write", key))
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.client.get_object().bucket(&self.name).key(key).send().await.map_err(failure) {
            Ok(answer) => self.read(key, answer.body).await.map(Some),
            Err(failure) if is_absent(&failure) => Ok(None),
            Err(failure) => Err(self.fault(failure, "read", key)),
        }
    }

    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        match self.client.head_object().bucket(&self.name).key(key).send().await.map_err(failure) {
            Ok(_) => Ok(true),
            Err(failure) if is_absent(&failure) => Ok(false),
            Err(failure) => Err(self.fault(failure, "look for", key)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let page = self.page(prefix, after, limit).await?;
        Ok(page.into_iter().map(|listed| listed.key).collect())
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        match request.send().await.map_err(failure) {
            Ok(_) => Ok(()),
            Err(failure) if is_absent(&failure) => Ok(()),
            Err(failure) => Err(self.fault(failure, "delete", key)),
        }
    }
}
