//! [`crate::handle`] behind API Gateway.
use crate::{Answer, Deps};
use lambda_http::http::header::{CONTENT_TYPE, RETRY_AFTER};
use lambda_http::{Body, Error, Request, Response};
use std::time::Duration;

/// One attempt of a call to a store: one that hangs, and another one, fit into [`ANSWER_MS`].
pub const ATTEMPT_MS: u64 = 2_500;
/// GitHub hangs up after ten seconds and the function ends with them, so it answers before: who is
/// told to come again shows that to its owner.
pub const ANSWER_MS: u64 = 8_500;

/// # Errors
/// Never, really: what the answer is made of fits HTTP.
pub async fn answer(deps: &Deps, request: Request) -> Result<Response<Body>, Error> {
    within(deps, request, Duration::from_millis(ANSWER_MS)).await
}

async fn within(deps: &Deps, request: Request, most: Duration) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let handled = crate::handle(deps, &parts.method, &parts.headers, &body);
    let handled = tokio::time::timeout(most, handled).await;
    let Answer { status, body, retry_after, .. } = handled.unwrap_or_else(|_| crate::late());
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    Ok(response.body(Body::Text(body))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebhookSecrets;
    use async_trait::async_trait;
    use std::sync::Arc;
    use windlass_core::time::UnixMs;
    use windlass_ports::fake::{FakeClock, MemDocs, MemQueues};
    use windlass_ports::{Fault, Secrets, WriteIds};

    struct Hanging;

    #[async_trait]
    impl Secrets for Hanging {
        async fn get(&self, _name: &str) -> Result<Option<String>, Fault> {
            std::future::pending().await
        }
        async fn set(&self, _name: &str, _value: &str) -> Result<(), Fault> {
            Ok(())
        }
        async fn remove(&self, _name: &str) -> Result<bool, Fault> {
            Ok(false)
        }
        async fn names(&self) -> Result<Vec<String>, Fault> {
            Ok(vec![])
        }
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_answered_for_in_time() {
        let clock = FakeClock::at(UnixMs(1_800_000_000_000));
        let deps = Deps {
            docs: Arc::new(MemDocs::new(clock.shared())),
            queues: Arc::new(MemQueues::new(clock.shared())),
            secrets: Arc::new(WebhookSecrets::new(Arc::new(Hanging), vec!["/hook".to_owned()])),
            clock: clock.shared(),
            write_ids: Arc::new(WriteIds::new("process-1")),
            repositories: Arc::default(),
        };
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "push"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-hub-signature-256", &format!("sha256={:064}", 0)),
        ];
        let mut request = lambda_http::http::Request::builder().method("POST");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::Text("{}".to_owned())).expect("test");
        let response = within(&deps, request, Duration::ZERO).await.expect("test");
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }
}
