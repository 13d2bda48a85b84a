//! What went wrong with a call, and whether the same call may succeed later.
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use windlass_ports::Fault;

/// Codes that say the request itself can never succeed. Everything else may be mended from
/// outside, a missing permission or queue included: a deployment that is not finished must not
/// poison messages. What is retried in vain ends in the dead letters.
const HOPELESS: [&str; 16] = [
    "BatchRequestTooLong",
    "EntityTooLarge",
    "InvalidArgument",
    "InvalidAttributeName",
    "InvalidAttributeValue",
    "InvalidInstanceID.Malformed",
    "InvalidMessageContents",
    "InvalidParameterException",
    "InvalidParameterValue",
    "KeyTooLongError",
    "MalformedXML",
    "MissingParameter",
    "ParameterPatternMismatchException",
    "UnsupportedOperation",
    "ValidationError",
    "ValidationException",
];

/// How the services say that a role lacks a permission.
const DENIED: [&str; 4] =
    ["AccessDenied", "AccessDeniedException", "AccessDeniedFault", "UnauthorizedOperation"];

/// A failed call without anything of its request, or of a body that came back: both may hold
/// secrets.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: Kind,
    code: Option<String>,
    words: Option<String>,
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never sent: it could not be put together.
    Unsendable,
    /// It may have been carried out.
    NoAnswer,
    Answered(u16),
}

impl Failure {
    pub fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let bare = |kind, words| Self { kind, code: None, words, request_id: None };
        match error {
            SdkError::ServiceError(answer) => {
                let (status, meta) = (answer.raw().status().as_u16(), answer.err().meta());
                Self {
                    kind: Kind::Answered(status),
                    code: meta.code().map(str::to_owned),
                    words: meta.message().map(str::to_owned),
                    request_id: meta.extra("aws_request_id").map(str::to_owned),
                }
            }
            SdkError::ConstructionFailure(_) => bare(Kind::Unsendable, None),
            SdkError::TimeoutError(_) => bare(Kind::NoAnswer, Some("it took too long".to_owned())),
            SdkError::DispatchFailure(failure) => {
                let source = failure.as_connector_error();
                bare(Kind::NoAnswer, source.map(|error| chain(error)))
            }
            // The raw answer and its text stay out: it may be half a secret.
            _ => bare(Kind::NoAnswer, Some("the answer can't be read".to_owned())),
        }
    }

    /// An answer that no SDK has read.
    #[must_use]
    pub fn of_answer(
        status: u16,
        code: Option<String>,
        words: Option<String>,
        request_id: Option<String>,
    ) -> Self {
        Self { kind: Kind::Answered(status), code, words, request_id }
    }

    /// A call without an SDK that brought no answer, or none that can be read.
    #[must_use]
    pub fn no_answer(words: impl Into<String>) -> Self {
        Self { kind: Kind::NoAnswer, code: None, words: Some(words.into()), request_id: None }
    }

    /// A call that could not be put together, or not be signed.
    #[must_use]
    pub fn unsendable() -> Self {
        Self { kind: Kind::Unsendable, code: None, words: None, request_id: None }
    }

    /// One entry of a batch that failed, by its own code and words.
    #[must_use]
    pub fn of_entry(code: &str, words: Option<&str>, is_ours: bool) -> Self {
        let kind = Kind::Answered(if is_ours { 400 } else { 500 });
        let (code, words) = (Some(code.to_owned()), words.map(str::to_owned));
        Self { kind, code, words, request_id: None }
    }

    /// The HTTP status, if there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            Kind::Answered(status) => Some(status),
            Kind::Unsendable | Kind::NoAnswer => None,
        }
    }

    /// Whether AWS answered with one of these codes. SQS has two names for some: with and without
    /// `AWS.SimpleQueueService.` in front.
    #[must_use]
    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| {
            let short = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
            codes.contains(&short)
        })
    }

    /// Whether the role lacks the permission.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.is(&DENIED)
    }

    /// AWS's own sentence.
    #[must_use]
    pub fn words(&self) -> &str {
        self.words.as_deref().unwrap_or_default()
    }

    /// May the same call succeed later?
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self.kind {
            Kind::Unsendable => false,
            Kind::NoAnswer => true,
            Kind::Answered(status) => status >= 500 || !self.is(&HOPELESS),
        }
    }

    /// `what` could not be done, as in "can't read a.json".
    #[must_use]
    pub fn fault(self, what: impl Into<String>) -> Fault {
        if self.may_pass() {
            Fault::retryable_from(what, self)
        } else {
            Fault::poison_from(what, self)
        }
    }

    /// The same, with the action named as IAM names it where the role lacks it.
    #[must_use]
    pub fn fault_of(self, action: &str, what: &str) -> Fault {
        if self.is_denied() {
            let sentence = format!("{what}: the role needs the permission {action}");
            return Fault::retryable_from(sentence, self);
        }
        self.fault(what)
    }

    /// The same without AWS's own words, which quote what they find wrong.
    #[must_use]
    pub fn quiet_fault(mut self, what: impl Into<String>) -> Fault {
        if self.status().is_some() {
            self.words = None;
        }
        self.fault(what)
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Unsendable => f.write_str("the request could not be put together")?,
            Kind::NoAnswer => f.write_str("no answer")?,
            Kind::Answered(status) => write!(f, "AWS answered {status}")?,
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(words) = &self.words {
            write!(f, ": {words}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> Failure {
        let (code, words) = (Some(code.to_owned()), Some("words with a value".to_owned()));
        Failure { kind: Kind::Answered(status), code, words, request_id: Some("R1".to_owned()) }
    }

    #[test]
    fn only_what_can_never_succeed_is_poison() {
        for (status, code, passes) in [
            (400, "Throttling", true),
            (400, "RequestThrottled", true),
            (400, "ThrottlingException", true),
            (400, "RequestTimeout", true),
            (400, "ExpiredToken", true),
            (400, "KmsThrottled", true),
            (403, "AccessDenied", true),
            (403, "InvalidAccessKeyId", true),
            (403, "RequestTimeTooSkewed", true),
            (404, "NoSuchBucket", true),
            (400, "AWS.SimpleQueueService.NonExistentQueue", true),
            (429, "TooManyRequests", true),
            (500, "InternalError", true),
            (503, "SlowDown", true),
            (503, "ValidationException", true),
            (400, "SomethingNew", true),
            (400, "ValidationException", false),
            (400, "ValidationError", false),
            (400, "InvalidInstanceID.Malformed", false),
            (400, "RequestLimitExceeded", true),
            (400, "InvalidParameterValue", false),
            (400, "InvalidMessageContents", false),
            (400, "AWS.SimpleQueueService.UnsupportedOperation", false),
            (400, "KeyTooLongError", false),
            (400, "EntityTooLarge", false),
        ] {
            let fault = answered(status, code).fault("can't do it");
            assert_eq!(fault.is_retryable(), passes, "{status} {code}");
        }
        let bare = |kind| Failure { kind, code: None, words: None, request_id: None };
        assert!(bare(Kind::NoAnswer).may_pass());
        assert!(bare(Kind::Answered(400)).may_pass());
        assert!(!bare(Kind::Unsendable).may_pass());
    }

    #[test]
    fn a_missing_permission_is_named() {
        for (code, named) in [
            ("AccessDenied", true),
            ("AccessDeniedException", true),
            ("UnauthorizedOperation", true),
            ("Throttling", false),
        ] {
            let fault = answered(403, code).fault_of("ec2:DescribeInstances", "can't look");
            assert!(fault.is_retryable());
            let sentence = "can't look: the role needs the permission ec2:DescribeInstances; ";
            assert_eq!(fault.chain().starts_with(sentence), named, "{code}");
        }
    }

    #[test]
    fn the_chain_says_what_aws_said_unless_told_not_to() {
        let loud = answered(503, "SlowDown").fault("can't read a.json").chain();
        assert_eq!(
            loud,
            "can't read a.json; it will be tried again: AWS answered 503 SlowDown: words with a \
             value (request R1)"
        );
        let quiet = answered(400, "ValidationException").quiet_fault("can't store a").chain();
        assert_eq!(quiet, "can't store a: AWS answered 400 ValidationException (request R1)");
    }
}
