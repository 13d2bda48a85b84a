//! Notices that branches moved: a folder tells by itself, a URL is asked again and again.
use super::repos::Found;
use adapter_git::Watch;
use scheduler::Deps;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// How often a URL is fetched.
const FETCH_EVERY: Duration = Duration::from_secs(15);
/// After a failed look at a folder.
const AGAIN: Duration = Duration::from_secs(2);

/// Tells the repository's actor what moved, now and whenever it moves, until told to stop.
pub(crate) async fn keep_watching(deps: Deps, found: Found, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = look_for_ever(&deps, &found) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn look_for_ever(deps: &Deps, found: &Found) {
    let mut told = false;
    let mut eyes = open(found.arg.path().map(PathBuf::from)).await;
    loop {
        let pause = match scheduler::observe(deps, &found.repository).await {
            Ok(moved) => {
                if moved > 0 {
                    tracing::info!(repository = %found.repository.name, moved, "branches moved");
                }
                told = false;
                None
            }
            Err(fault) => {
                // Once per trouble: a laptop without network is no news every fifteen seconds.
                if !told {
                    let (repository, error) = (&found.repository.name, fault.chain());
                    tracing::warn!(error, "the repository {repository} can't be looked at");
                }
                told = true;
                Some(AGAIN)
            }
        };
        match (&mut eyes, pause) {
            (Eyes::Folder(watch), None) => watch.changed().await,
            (Eyes::Url, _) => tokio::time::sleep(FETCH_EVERY).await,
            (_, pause) => {
                tokio::time::sleep(pause.unwrap_or(AGAIN)).await;
                if let Eyes::Closed(path) = &eyes {
                    eyes = open(Some(path.clone())).await;
                }
            }
        }
    }
}

enum Eyes {
    Folder(Watch),
    Url,
    /// The folder could not be watched: tried again.
    Closed(PathBuf),
}

/// Before the first look, so that nothing moves unseen between the two.
async fn open(path: Option<PathBuf>) -> Eyes {
    let Some(path) = path else { return Eyes::Url };
    match Watch::path(&path).await {
        Ok(watch) => Eyes::Folder(watch),
        Err(_) => Eyes::Closed(path),
    }
}
