//! Notices as a test gives them.
use super::lock;
use crate::fault::Fault;
use crate::notices::{Notice, Notices};
use async_trait::async_trait;
use std::sync::Mutex;

/// [`Notices`] of a machine that nobody wants back until a test says so.
#[derive(Debug, Default)]
pub struct FakeNotices(Mutex<Option<Notice>>);

impl FakeNotices {
    pub fn give(&self, notice: Notice) {
        *lock(&self.0) = Some(notice);
    }
}

#[async_trait]
impl Notices for FakeNotices {
    async fn standing(&self) -> Result<Option<Notice>, Fault> {
        Ok(*lock(&self.0))
    }
}
