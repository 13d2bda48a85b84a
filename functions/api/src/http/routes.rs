//! Routes with a list of themselves, so that a test can hold that each has a row in its table of who
//! may do what.
use crate::ops::App;
use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Routes {
    pub(crate) router: Router<Arc<App>>,
    /// Method and path of each.
    pub(crate) names: Vec<(&'static str, &'static str)>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn add(
        mut self,
        method: &'static str,
        path: &'static str,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        self.names.push((method, path));
        self.router = self.router.route(path, handler);
        self
    }

    pub(crate) fn get<T: 'static, H: Handler<T, Arc<App>>>(self, path: &'static str, h: H) -> Self {
        self.add("GET", path, routing::get(h))
    }
    pub(crate) fn post<T: 'static, H: Handler<T, Arc<App>>>(
        self,
        path: &'static str,
        h: H,
    ) -> Self {
        self.add("POST", path, routing::post(h))
    }
    pub(crate) fn put<T: 'static, H: Handler<T, Arc<App>>>(self, path: &'static str, h: H) -> Self {
        self.add("PUT", path, routing::put(h))
    }
    pub(crate) fn delete<T: 'static, H: Handler<T, Arc<App>>>(
        self,
        path: &'static str,
        h: H,
    ) -> Self {
        self.add("DELETE", path, routing::delete(h))
    }
}
