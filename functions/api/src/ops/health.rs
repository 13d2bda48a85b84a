//! Whether this process can do its work: one small request to the store and one to the queue, and
//! what they said is kept for a moment, so that nobody makes many of them.
use super::{App, Error};
use crate::v1::HealthView;
use std::sync::{Mutex, PoisonError};
use windlass_core::keys;
use windlass_core::time::{SECOND_MS, UnixMs};

const KEPT_MS: u64 = 10 * SECOND_MS;

/// When it was last well.
#[derive(Default)]
pub(super) struct Healthy(Mutex<Option<UnixMs>>);

pub(crate) async fn health(app: &App) -> Result<HealthView, Error> {
    let now = app.now();
    let known = *app.healthy.0.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_none_or(|at| now < at || now >= at.plus_ms(KEPT_MS)) {
        // Nothing is called this: that the store can say so is what matters.
        app.deps.docs.get(&keys::api_key("-")).await?;
        app.deps.queues.depth(keys::INTENTS).await?;
        *app.healthy.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(HealthView { status: "ok".to_owned(), version, now: now.rfc3339() })
}
