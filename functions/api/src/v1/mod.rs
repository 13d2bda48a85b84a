//! The JSON API's documents, version 1: what the CLI and scripts see.
//!
//! snake_case; times are RFC 3339 UTC to the millisecond; states and run types are Spacelift's
//! words; one document per answer, never over a megabyte. Fields are only ever added.
mod ask;
mod delivery;
mod fleet;
mod plan;
mod rollout;
mod run;
mod stack;

pub use ask::{
    ApproveRequest, Asked, ConfirmRequest, LockRequest, NoteRequest, PrioritizeRequest,
    ReplanRequest, SecretRequest, TaskRequest, TriggerRequest, UnlockRequest,
};
pub use delivery::{DeliveryRequest, DeliveryView};
pub use fleet::{
    AuditList, AuditView, HealthView, KeyList, KeyRequest, KeyView, LoginLink, NewKeyView,
    QuarantineDetail, QuarantineList, QuarantineView, SecretList, SlotView, TokenRequest,
    TokenView, WorkerList, WorkerView,
};
pub use plan::{AttributeView, ChangesView, OutputChangeView, ResourceChangeView};
pub use rollout::{CommitDetail, RolloutList, RolloutRunView, RolloutView, WhyLine, WhyView};
pub use run::{
    InputView, JobView, LogPage, LogPart, RunDetail, RunList, RunRef, RunView, TransitionView,
    Verb, WaitView,
};
pub use stack::{
    CommitView, EdgeView, Facets, LastRunView, LockView, OutputList, OutputView, ReferenceView,
    ResourceList, ResourceView, StackDetail, StackList, StackView, StatePart,
};
pub use stack::{DriftLookView, DriftView, DriftWaitView, DriftedView};

use serde::{Deserialize, Serialize};
pub use windlass_core::access::Role;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: ProblemCode,
    /// One sentence for a person.
    pub message: String,
    /// The request's event, if it was asked but not answered yet: ask for the run or stack again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// Each with its HTTP status, and the exit code that the CLI makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 404, exit 4.
    NotFound,
    /// 409, exit 5: the state does not allow it; the message names it.
    Refused,
    /// 403, exit 7.
    NotAllowed,
    /// 401, exit 7: no token or session, or not a valid one.
    Unauthenticated,
    /// 422, exit 2: the request itself makes no sense.
    Invalid,
    /// 503, exit 3: try again; with `event`, it may still happen.
    Unavailable,
    /// 500, exit 3: our fault; the server's log has the details.
    Internal,
}

impl ProblemCode {
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            ProblemCode::NotFound => 404,
            ProblemCode::Refused => 409,
            ProblemCode::NotAllowed => 403,
            ProblemCode::Unauthenticated => 401,
            ProblemCode::Invalid => 422,
            ProblemCode::Unavailable => 503,
            ProblemCode::Internal => 500,
        }
    }
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            ProblemCode::NotFound => 4,
            ProblemCode::Refused => 5,
            ProblemCode::NotAllowed | ProblemCode::Unauthenticated => 7,
            ProblemCode::Invalid => 2,
            ProblemCode::Unavailable | ProblemCode::Internal => 3,
        }
    }
}
