//! What the template is held against, apart from the tests that do it.
//!
//! - [`policy`]: what a role allows.
//! - [`bill`]: what the template costs in a month in which nothing happens.
//! - [`terraform`]: what a Terraform module declares and refers to.
pub mod bill;
pub mod policy;
pub mod terraform;
