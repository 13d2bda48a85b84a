//! The `Secrets` port over two files: sealed values, and the key that opens them.
//!
//! Each value is sealed by XChaCha20-Poly1305 under a fresh random nonce, with its name as
//! associated data: a value can't be changed, nor moved to another name. That keeps it out of
//! backups and copies of one of the files; who can read both can read all, so both are refused
//! when others could.
use crate::place::{Durable, OpenError, blocking, private_folder, read_private, replace};
use async_trait::async_trait;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_ports::secrets::SECRET_CHARS_MIN;
use windlass_ports::{Fault, Secrets};
use zeroize::Zeroizing;

const SEALED_FILE: &str = "secrets.json";
const KEY_FILE: &str = "secrets.key";
const LOCK_FILE: &str = "secrets.lock";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// A certificate chain or a cluster's configuration fits; a file that went astray does not.
const VALUE_BYTES_MAX: usize = 256 * 1024;
const NAME_BYTES_MAX: usize = 256;

/// Sealed values in one folder. Several processes may use it at once.
#[derive(Clone)]
pub struct SealedSecrets {
    place: Arc<Place>,
}

struct Place {
    folder: PathBuf,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// `secrets.json`. Bytes are hexadecimal.
#[derive(Default, Serialize, Deserialize)]
struct SealedFile {
    schema: u32,
    secrets: BTreeMap<String, Sealed>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    nonce: String,
    sealed: String,
}

impl std::fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecrets({})", self.place.folder.display())
    }
}

impl SealedSecrets {
    /// Makes the folder and the key on first use.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        private_folder(folder)?;
        let _lock = lock(folder)?;
        let (sealed, key_file) = (folder.join(SEALED_FILE), folder.join(KEY_FILE));
        let has_sealed = read_private(&sealed)?.is_some();
        let key = match read_private(&key_file)?.map(Zeroizing::new) {
            Some(text) => key_from(&text).ok_or(OpenError::Damaged {
                path: key_file,
                why: "it does not hold 64 hexadecimal digits",
            })?,
            None if has_sealed => return Err(OpenError::KeyGone { sealed, key: key_file }),
            None => make_key(folder, &key_file)?,
        };
        Ok(Self { place: Arc::new(Place { folder: folder.to_path_buf(), key }) })
    }
}

#[async_trait]
impl Secrets for SealedSecrets {
    async fn get(&self, name: &str) -> Result<Option<String>, Fault> {
        let (place, name) = (self.place.clone(), name.to_owned());
        blocking(move || match place.load()?.secrets.get(&name) {
            Some(sealed) => place.unseal(&name, sealed).map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        check(name, value)?;
        let sealed = self.place.seal(name, value)?;
        let (place, name) = (self.place.clone(), name.to_owned());
        blocking(move || {
            let _lock = lock(&place.folder)?;
            let mut file = place.load()?;
            file.secrets.insert(name, sealed);
            place.store(&file)
        })
        .await
    }

    async fn remove(&self, name: &str) -> Result<bool, Fault> {
        let (place, name) = (self.place.clone(), name.to_owned());
        blocking(move || {
            let _lock = lock(&place.folder)?;
            let mut file = place.load()?;
            let was_there = file.secrets.remove(&name).is_some();
            if was_there {
                place.store(&file)?;
            }
            Ok(was_there)
        })
        .await
    }

    async fn names(&self) -> Result<Vec<String>, Fault> {
        let place = self.place.clone();
        blocking(move || Ok(place.load()?.secrets.into_keys().collect())).await
    }
}

impl Place {
    fn sealed_file(&self) -> PathBuf {
        self.folder.join(SEALED_FILE)
    }

    fn damaged(&self, why: &'static str) -> OpenError {
        OpenError::Damaged { path: self.sealed_file(), why }
    }

    fn load(&self) -> Result<SealedFile, OpenError> {
        let Some(bytes) = read_private(&self.sealed_file())? else {
            return Ok(SealedFile { schema: 1, ..SealedFile::default() });
        };
        let file: SealedFile =
            serde_json::from_slice(&bytes).map_err(|_| self.damaged("it does not parse"))?;
        match file.schema {
            1 => Ok(file),
            _ => Err(self.damaged("it is of a version that is not known here")),
        }
    }

    fn store(&self, file: &SealedFile) -> Result<(), OpenError> {
        let path = self.sealed_file();
        let write = || {
            let bytes = serde_json::to_vec_pretty(file)?;
            replace(&self.folder, &path, &bytes, Durable::Yes)
        };
        write().map_err(|e| OpenError::io("written", &path, e))
    }

    fn seal(&self, name: &str, value: &str) -> Result<Sealed, Fault> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)
            .map_err(|e| Fault::retryable(format!("the system gives no random bytes: {e}")))?;
        let (bound, msg) = (bound(name), value.as_bytes());
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), Payload { msg, aad: &bound })
            .map_err(|_| Fault::poison(format!("the secret {name} can't be sealed")))?;
        Ok(Sealed { nonce: hex(&nonce), sealed: hex(&sealed) })
    }

    fn unseal(&self, name: &str, sealed: &Sealed) -> Result<String, OpenError> {
        let damaged = || self.damaged("a value is not hexadecimal");
        let nonce = unhex(&sealed.nonce).filter(|n| n.len() == NONCE_BYTES).ok_or_else(damaged)?;
        let msg = unhex(&sealed.sealed).ok_or_else(damaged)?;
        let bound = bound(name);
        let opened = self
            .cipher()
            .decrypt(XNonce::from_slice(&nonce), Payload { msg: &msg, aad: &bound })
            .map_err(|_| self.damaged("a value was changed, moved, or sealed with another key"))?;
        String::from_utf8(opened).map_err(|e| {
            drop(Zeroizing::new(e.into_bytes()));
            self.damaged("a value is not text")
        })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

/// What a sealed value belongs to.
fn bound(name: &str) -> Vec<u8> {
    [b"windlass secret 1\0", name.as_bytes()].concat()
}

/// Says what is wrong without a word of the value.
fn check(name: &str, value: &str) -> Result<(), Fault> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(|c: char| c.is_control()) {
        return Err(Fault::poison(format!(
            "a secret's name has 1 to {NAME_BYTES_MAX} bytes and no control character"
        )));
    }
    if value.chars().count() < SECRET_CHARS_MIN {
        return Err(Fault::poison(format!(
            "the value of {name} is too short to be masked in logs; it needs at least \
             {SECRET_CHARS_MIN} characters"
        )));
    }
    if value.len() > VALUE_BYTES_MAX {
        let bytes = value.len();
        return Err(Fault::poison(format!(
            "the value of {name} has {bytes} bytes; at most {VALUE_BYTES_MAX} can be kept"
        )));
    }
    Ok(())
}

/// Held until dropped: the right to change the files.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK_FILE);
    let open = || {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|e| OpenError::io("locked", &path, e))
}

fn make_key(folder: &Path, path: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, OpenError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let io = |e| OpenError::io("made", path, e);
    getrandom::fill(&mut *key).map_err(|e| io(std::io::Error::other(e.to_string())))?;
    let text = Zeroizing::new(hex(&*key));
    replace(folder, path, text.as_bytes(), Durable::Yes).map_err(io)?;
    Ok(key)
}

fn key_from(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let bytes = Zeroizing::new(unhex(text)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble)] as char;
    // Reserved at once: growing would leave copies behind.
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in pairs {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}
