//! What the template is held against, apart from the tests that do it.
//!
//! - [`policy`]: what a role allows.
//! - [`bill`]: what the template costs in a month in which nothing happens.
pub mod bill;
pub mod policy;
