//! What is said, in one table: a status for GitHub, a metric for us, a sentence for the owner, who
//! reads it under "Recent deliveries".
use http::StatusCode;
use windlass_core::delivery::Refusal;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Kept, and on its way.
    Accepted,
    /// Taken before. GitHub, or a person there, sent it again; nothing happens twice.
    Repeated,
    Pong,
    UnknownEvent(String),
    /// `OWNER/REPO`
    NotServed(String),
    Refused(Refusal),
    NotPost,
    /// Signed with no secret that was live a moment ago; what is live now was not asked again.
    Unsettled,
    /// No secret is configured, so nothing can be believed.
    NoSecret,
    /// Unknown stays unknown: the owner may send it again.
    StoreAway,
}

/// An HTTP answer, in plain parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    /// JSON.
    pub body: String,
    /// Counted under this name.
    pub metric: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

const RETRY_AFTER_S: u32 = 60;

impl Said {
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Said::Accepted | Said::UnknownEvent(_) => StatusCode::ACCEPTED,
            Said::Repeated | Said::Pong => StatusCode::OK,
            Said::NotServed(_) => StatusCode::NOT_FOUND,
            Said::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Said::Unsettled | Said::NoSecret | Said::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
            Said::Refused(refusal) => match refusal {
                Refusal::Unsigned | Refusal::BadSignature => StatusCode::UNAUTHORIZED,
                Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Refusal::FormEncoded | Refusal::WrongContentType => {
                    StatusCode::UNSUPPORTED_MEDIA_TYPE
                }
                Refusal::Malformed { .. } => StatusCode::BAD_REQUEST,
            },
        }
    }

    #[must_use]
    pub fn metric(&self) -> &'static str {
        match self {
            Said::Accepted => "accepted",
            Said::Repeated => "repeated",
            Said::Pong => "ping",
            Said::UnknownEvent(_) => "unknown_event",
            Said::NotServed(_) => "not_served",
            Said::NotPost => "not_post",
            Said::Unsettled => "unsettled",
            Said::NoSecret => "no_secret",
            Said::StoreAway => "store_away",
            Said::Refused(refusal) => match refusal {
                Refusal::Unsigned => "unsigned",
                Refusal::BadSignature => "bad_signature",
                Refusal::TooLarge => "too_large",
                Refusal::FormEncoded => "form_encoded",
                Refusal::WrongContentType => "wrong_content_type",
                Refusal::Malformed { .. } => "malformed",
            },
        }
    }

    fn sentence(&self) -> String {
        match self {
            Said::Accepted => "taken".to_owned(),
            Said::Repeated => "this delivery was taken before; nothing happens twice".to_owned(),
            Said::Pong => "Windlass is here".to_owned(),
            Said::UnknownEvent(event) => format!("Windlass has no use for {event} events"),
            Said::NotServed(name) => format!(
                "{name} is not served here: add it to WINDLASS_REPOSITORIES, or take the webhook away"
            ),
            Said::NotPost => "deliveries come by POST".to_owned(),
            Said::Unsettled => "signed with no secret that was live half a minute ago; if it is \
                                newer, send it again in a minute"
                .to_owned(),
            Said::NoSecret => "no webhook secret is configured here".to_owned(),
            Said::StoreAway => "nothing could be kept just now; send it again later".to_owned(),
            Said::Refused(refusal) => refusal.to_string(),
        }
    }
}

impl From<Said> for Answer {
    fn from(said: Said) -> Self {
        let (status, metric) = (said.status(), said.metric());
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
        let body = serde_json::json!({ "said": metric, "message": said.sentence() }).to_string();
        Self { status, body, metric, retry_after }
    }
}
