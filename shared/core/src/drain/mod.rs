//! A machine that the group wants to end: its lifecycle hook is held until its runs have ended.
//!
//! A message only says that a hook waits; what is done about it is decided from a record of ours
//! and from the worker's, at every look, so a lost, late or repeated message changes nothing.
//! [`notice`] reads the messages, [`decide()`] says what to do now and when to look again, and
//! [`after_completion`] what a refusal of AWS's means.
//!
//! AWS: a hook's timeout is 30 to 7,200 s, and it can be put off by heartbeats for 48 hours or a
//! hundred timeouts, whichever is less
//! (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html>).
mod decide;
pub mod notice;
#[cfg(test)]
mod tests;

pub use decide::{
    Completion, DrainRecord, Holder, Look, Refusal, Step, TIMEOUT_MS_MIN, Then, after_completion,
    decide,
};
pub use notice::{Message, Notice, read};
