//! `server.json`: how the commands find the server of a data folder. Readable by its user only.
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::Path;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFile {
    /// `127.0.0.1:8420`.
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) pid: u32,
}

impl std::fmt::Debug for ServerFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, pid, .. } = self;
        f.debug_struct("ServerFile").field("address", address).field("pid", pid).finish()
    }
}

/// None when no server ran here, or the last one ended in order.
pub(crate) fn read(root: &Path) -> io::Result<Option<ServerFile>> {
    let path = super::folder::Layout::new(root).server_file();
    match std::fs::read(path) {
        Ok(body) => serde_json::from_slice(&body).map(Some).map_err(io::Error::other),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn write(root: &Path, file: &ServerFile) -> io::Result<()> {
    let body = serde_json::to_vec(file)?;
    super::folder::replace(&super::folder::Layout::new(root).server_file(), &body)
}

pub(crate) fn remove(root: &Path) {
    // A stale file is harmless: whoever reads it finds nobody at the address.
    let _ = std::fs::remove_file(super::folder::Layout::new(root).server_file());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn is_private_and_goes_at_the_end() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(read(temp.path()).unwrap(), None);
        let file =
            ServerFile { address: "127.0.0.1:8420".into(), token: "hush-hush".into(), pid: 7 };
        write(temp.path(), &file).unwrap();
        assert_eq!(read(temp.path()).unwrap(), Some(file.clone()));
        let mode = std::fs::metadata(temp.path().join("server.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{file:?}").contains("hush"));
        remove(temp.path());
        assert_eq!(read(temp.path()).unwrap(), None);
    }
}
