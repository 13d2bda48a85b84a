//! Why an operation did not happen, in a person's words.
use crate::v1::{Problem, ProblemCode};
use windlass_core::id::EventId;
use windlass_ports::Fault;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    NotFound(String),
    /// The state does not allow it.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NotAllowed(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    Invalid(String),
    #[error("asked, not answered yet: look again in a moment")]
    Unanswered { event: EventId },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    /// What the caller is told. A fault's details stay in the log.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (code, message) = match self {
            Error::NotFound(_) => (ProblemCode::NotFound, self.to_string()),
            Error::Refused(_) => (ProblemCode::Refused, self.to_string()),
            Error::NotAllowed(_) => (ProblemCode::NotAllowed, self.to_string()),
            Error::Unauthenticated(_) => (ProblemCode::Unauthenticated, self.to_string()),
            Error::Invalid(_) => (ProblemCode::Invalid, self.to_string()),
            Error::Unanswered { .. } => (ProblemCode::Unavailable, self.to_string()),
            Error::Fault(Fault::Retryable { .. }) => {
                let message = "the store does not answer just now: try again";
                (ProblemCode::Unavailable, message.to_owned())
            }
            Error::Fault(Fault::Poison { .. }) => {
                let message = "something stored can't be read; the server's log says what";
                (ProblemCode::Internal, message.to_owned())
            }
        };
        let event = match self {
            Error::Unanswered { event } => Some(event.0.clone()),
            _ => None,
        };
        Problem { code, message, event }
    }

    /// Once, at the edge: what no answer may tell.
    pub(crate) fn log(&self) {
        if let Error::Fault(fault) = self {
            tracing::warn!(why = %fault.chain(), "a request met a fault");
        }
    }
}
