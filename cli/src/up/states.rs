//! State files that Windlass keeps for stacks without a backend of their own.
use api::StateStore;
use async_trait::async_trait;
use std::io::ErrorKind;
use std::path::PathBuf;
use windlass_core::id::StackId;
use windlass_ports::Fault;

pub(crate) struct StateFolder(PathBuf);

impl StateFolder {
    #[must_use]
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }
}

#[async_trait]
impl StateStore for StateFolder {
    async fn pull(&self, stack: &StackId) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.0.join(stack.as_str()).join("terraform.tfstate");
        match tokio::fs::read(&path).await {
            Ok(body) => Ok(Some(body)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Fault::retryable_from(format!("the state of {stack} can't be read"), e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_is_read_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let store = StateFolder::new(temp.path().to_owned());
        assert_eq!(store.pull(&"net".into()).await.unwrap(), None);
        std::fs::create_dir(temp.path().join("net")).unwrap();
        std::fs::write(temp.path().join("net/terraform.tfstate"), "{}").unwrap();
        assert_eq!(store.pull(&"net".into()).await.unwrap(), Some(b"{}".to_vec()));
    }
}
