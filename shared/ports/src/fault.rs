//! What the shell may do about a failure.
use std::error::Error as StdError;
type Source = Box<dyn StdError + Send + Sync>;

/// Every port error and every handler error is one of these, decided where it arises.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// May succeed if the same message is delivered again. The queue keeps it.
    #[error("{what}; it will be tried again")]
    Retryable {
        what: String,
        #[source]
        source: Option<Source>,
    },
    /// Can never succeed. The message goes to quarantine with this text, then is acknowledged.
    #[error("{what}")]
    Poison {
        what: String,
        #[source]
        source: Option<Source>,
    },
}

impl Fault {
    pub fn retryable(what: impl Into<String>) -> Self {
        Self::Retryable { what: what.into(), source: None }
    }
    pub fn retryable_from(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Retryable { what: what.into(), source: Some(source.into()) }
    }
    pub fn poison(what: impl Into<String>) -> Self {
        Self::Poison { what: what.into(), source: None }
    }
    pub fn poison_from(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Poison { what: what.into(), source: Some(source.into()) }
    }
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable { .. })
    }
    /// The same, where nobody tries again any more.
    #[must_use]
    pub fn given_up(self) -> Self {
        match self {
            Self::Retryable { what, source } | Self::Poison { what, source } => {
                Self::Poison { what, source }
            }
        }
    }
    /// The whole chain on one line, for the one log entry at the edge.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
