//! Blobs and sealed secrets in a folder of this machine, for this user only.
mod blobs;
mod names;
mod place;
mod secrets;

pub use blobs::FolderBlobs;
pub use place::OpenError;
pub use secrets::SealedSecrets;
