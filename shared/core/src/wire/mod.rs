//! What others send, as far as we read it. Tolerant: unknown fields are ignored.
pub mod github;
