//! JSON API and console: one router over one module of operations.
//!
//! Never decides: reads documents, and puts what people ask onto the intents queue.
pub mod v1;
