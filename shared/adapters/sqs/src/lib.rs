//! Queues on SQS; what is too large for a message lies beside it as a blob.
//!
//! The queues exist: whoever deploys made them, with their dead letters and how often a message is
//! received before it goes there. A queue's address is a prefix and its name.
mod batch;
mod body;
mod queues;
mod words;

pub use body::{BODY_BYTES_MAX, open};
pub use queues::Sqs;
