//! What policies say, wherever Spacelift asks one. Until policies come it is [`Verdict::none`].
use serde::{Deserialize, Serialize};

/// All attached policies' answers, merged: sets are unions, the negative wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub deny: Vec<String>,
    pub warn: Vec<String>,
    /// An approval policy is attached and has not approved yet.
    pub needs_approval: bool,
    /// An approval policy rejects.
    pub rejected: bool,
}

impl Verdict {
    /// No policy is attached: nothing is denied, nothing needs approval.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}
