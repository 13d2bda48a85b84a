//! [`crate::handle`] behind API Gateway.
use crate::{Answer, Deps};
use lambda_http::http::header::{CONTENT_TYPE, RETRY_AFTER};
use lambda_http::{Body, Error, Request, Response};

/// # Errors
/// Never, really: what the answer is made of fits HTTP.
pub async fn answer(deps: &Deps, request: Request) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let Answer { status, body, retry_after, .. } =
        crate::handle(deps, &parts.method, &parts.headers, &body).await;
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    Ok(response.body(Body::Text(body))?)
}
