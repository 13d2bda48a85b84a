//! The console's list, and the API's, of a thousand stacks: through the real router, over the
//! embedded store.
use super::life::{Ends, Life};
use super::store::{count, folder};
use crate::exit::Failure;
use crate::up::folder::Layout;
use crate::up::states::StateFolder;
use adapter_files::{FolderBlobs, SealedSecrets};
use adapter_git::Mirrors;
use adapter_sqlite::Store;
use api::auth::MemSessions;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tower::ServiceExt as _;
use windlass_core::id::StackId;
use windlass_core::keys;
use windlass_core::summary::Summary;
use windlass_core::time::UnixMs;
use windlass_ports::clock::SteadyClock;
use windlass_ports::{Clock, Docs, cas};
use windlass_report::Report;
use windlass_report::stats::{median, ms};

const STACKS: usize = 1_000;
const PORT: u16 = 8_420;
const TOKEN: &str = "a token that only this benchmark knows";
const WARM_UP: usize = 5;
const TIMES: usize = 31;
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::failed("the console can't be measured").because(e)
}

pub(crate) fn measure() -> Result<Report, Failure> {
    crate::up::runtime()?.block_on(run())
}

async fn run() -> Result<Report, Failure> {
    let folder = folder(None)?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
    let store = Store::open(&folder.path().join("windlass.db"), clock.clone()).map_err(failed)?;
    let store = Arc::new(store);
    fill(&*store, clock.now()).await?;
    let router = router(folder.path(), store.clone(), clock)?;
    let cookie = log_in(&router).await?;
    let page = || request("/").header(header::COOKIE, &cookie).body(Body::empty());
    let list = || {
        let token = format!("Bearer {TOKEN}");
        let list = request("/api/v1/stacks?limit=200").header(header::AUTHORIZATION, token);
        list.body(Body::empty())
    };
    let (page_ms, page_bytes) = timed(&router, page).await?;
    let (list_ms, list_bytes) = timed(&router, list).await?;
    let mut report = Report::new("console", "Lists of 1 000 stacks, as the server makes them");
    report.figure("page_ms", page_ms, "ms", "the console's list").at_most = Some(50.0);
    let kb = count(page_bytes) / 1_000.0;
    report.figure("page_kb", kb, "kB", "… as sent, not compressed").at_most = Some(100.0);
    report.figure("api_ms", list_ms, "ms", "the API's first 200, with facets over all");
    report.figure("api_kb", count(list_bytes) / 1_000.0, "kB", "… as sent");
    Ok(report)
}

/// A thousand stacks as their actors left them, in ten spaces and twenty teams.
async fn fill(docs: &dyn Docs, now: UnixMs) -> Result<(), Failure> {
    use Ends::{Applied, Confirmed, Failed, Unchanged};
    for n in 0..STACKS {
        let stack = StackId(format!("stack-{n:04}"));
        let began = UnixMs(now.0 - 86_400_000 + count_ms(n));
        let mut life = Life::begin(&stack.0, (n > 0).then_some("stack-0000"), began);
        life.run([Applied, Failed, Unchanged, Confirmed, Applied][n % 5]);
        if n % 7 == 0 {
            let id = life.born(Confirmed);
            life.plan(&id, Confirmed);
        }
        let made = Summary::of(&life.head, None).ok_or_else(|| failed("no summary was made"))?;
        let made = Summary {
            space: format!("space-{}", n % 10).as_str().into(),
            labels: [format!("team:{}", n % 20), "region:eu-central-1".to_owned()].into(),
            ..made
        };
        let write_id = format!("w{n}");
        cas::create(docs, &keys::head(&stack), &write_id, &life.head).await?;
        cas::create(docs, &keys::summary(&stack), &write_id, &made).await?;
    }
    Ok(())
}

fn count_ms(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(0) * 1_000
}

fn request(path: &str) -> axum::http::request::Builder {
    Request::builder().uri(path).header(header::HOST, format!("127.0.0.1:{PORT}"))
}

/// By a login link, as a browser does.
async fn log_in(router: &Router) -> Result<String, Failure> {
    let ask = request("/api/v1/login-links")
        .method("POST")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json");
    let answer = router.clone().oneshot(ask.body(Body::from("{}")).map_err(failed)?).await;
    let answer = answer.map_err(failed)?;
    let body = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.map_err(failed)?;
    let link: api::v1::LoginLink = serde_json::from_slice(&body).map_err(failed)?;
    let enter = request(&link.path).body(Body::empty()).map_err(failed)?;
    let answer = router.clone().oneshot(enter).await.map_err(failed)?;
    let set = answer.headers().get(header::SET_COOKIE).and_then(|set| set.to_str().ok());
    let cookie = set.and_then(|set| set.split(';').next()).map(str::to_owned);
    cookie.ok_or_else(|| failed("the console let nobody in"))
}

/// Milliseconds from the request to the last byte, and the bytes.
async fn timed(
    router: &Router,
    request: impl Fn() -> Result<Request<Body>, axum::http::Error>,
) -> Result<(f64, usize), Failure> {
    let (mut samples, mut bytes) = (Vec::new(), 0);
    for round in 0..WARM_UP + TIMES {
        let request = request().map_err(failed)?;
        let began = Instant::now();
        let answer = router.clone().oneshot(request).await.map_err(failed)?;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.map_err(failed)?;
        if round >= WARM_UP {
            samples.push(ms(began.elapsed()));
        }
        if !status.is_success() {
            return Err(failed(format!("the console answered with {status}")));
        }
        bytes = body.len();
    }
    Ok((median(&samples), bytes))
}

fn router(root: &Path, store: Arc<Store>, clock: Arc<dyn Clock>) -> Result<Router, Failure> {
    let layout = Layout::new(root);
    let sessions = Arc::new(MemSessions::new(clock.clone()));
    let auth = api::Auth::new(TOKEN, "bench", api::Auth::local_hosts(PORT), sessions);
    Ok(api::router(api::Deps {
        docs: store.clone(),
        queues: store,
        blobs: Arc::new(FolderBlobs::open(&layout.blobs()).map_err(failed)?),
        secrets: Arc::new(SealedSecrets::open(&layout.secrets()).map_err(failed)?),
        source: Arc::new(Mirrors::new(layout.mirrors())),
        state: Arc::new(StateFolder::new(layout.states())),
        clock,
        wake: Arc::default(),
        auth,
    }))
}
