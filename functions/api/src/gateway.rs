//! The router behind API Gateway's HTTP API, as `lambda_http` calls it.
use crate::auth::GatewayHost;
use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use lambda_http::request::RequestContext;

/// The router of [`crate::router`] with what the gateway says of a request. By what name it was called is in
/// the request's context, which no caller can write; the host header has to agree with it.
pub fn behind_gateway(router: Router) -> Router {
    router.layer(map_request(async |mut request: Request| {
        if let Some(RequestContext::ApiGatewayV2(context)) = request.extensions().get()
            && let Some(name) = context.domain_name.clone()
        {
            request.extensions_mut().insert(GatewayHost(name));
        }
        request
    }))
}
