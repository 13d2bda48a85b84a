//! Where code comes from, through the user's own `git`: mirrors, work trees, changed files.
//!
//! - [`Mirrors`] keeps one bare mirror per repository and is the `Source` port over them.
//! - [`Mirrors::checkout`] makes a work tree for a job.
//! - [`Watch`] tells when the branches of a repository on this machine changed.
//!
//! `git` is never run through a shell, never asks anything, and never learns credentials from its
//! arguments. Several processes may share one folder of mirrors.
mod batch;
mod checkout;
mod command;
mod error;
mod layout;
mod mirrors;
mod origin;
mod source;
mod watch;

pub use error::GitError;
pub use mirrors::Mirrors;
pub use watch::{Heads, Watch, heads_fast};
