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
    async fn pull(&self, stack: &StackId, workspace: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = windlass_worker::kept_state(&self.0, stack, workspace);
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
        let pull = async |workspace: &str| store.pull(&"net".into(), workspace).await.unwrap();
        assert_eq!(pull("default").await, None);
        std::fs::create_dir_all(temp.path().join("net/workspaces/prod")).unwrap();
        std::fs::write(temp.path().join("net/terraform.tfstate"), "{}").unwrap();
        let prod = temp.path().join("net/workspaces/prod/terraform.tfstate");
        std::fs::write(prod, "{\"prod\": 1}").unwrap();
        let table = [("", "{}"), ("default", "{}"), ("prod", "{\"prod\": 1}")];
        for (workspace, expect) in table {
            assert_eq!(pull(workspace).await, Some(expect.into()), "{workspace}");
        }
        assert_eq!(pull("dev").await, None);
    }
}
