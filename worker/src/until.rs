//! Waiting for a watched value.
use tokio::sync::watch;

/// Returns once the value is as wanted; never, if nobody can change it any more.
pub(crate) async fn until<T>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    let gone = watched.wait_for(wanted).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}
