//! The socket's place in the file system: for this user only, and replaced in one step.
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// A socket's address holds a path of at most 108 bytes on Linux (104 on macOS), its end included.
const PATH_BYTES_MAX: usize = 100;

/// Listens at `path`, readable and writable by this user only. What an earlier server left there
/// is replaced; that no other server is alive is the caller's to know.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let short = Short::of(&fresh)?;
    let listener = UnixListener::bind(&short.path)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))?;
    fs::rename(&fresh, path)?;
    Ok(listener)
}

pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let short = Short::of(path)?;
    UnixStream::connect(&short.path).await
}

/// Another name of a path that is too long for a socket's address.
struct Short {
    path: PathBuf,
    /// Keeps the other name alive.
    _folder: Option<File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Self> {
        let plain = || Self { path: path.to_path_buf(), _folder: None };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(plain());
        };
        if path.as_os_str().len() <= PATH_BYTES_MAX || !cfg!(target_os = "linux") {
            return Ok(plain());
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }
}
