//! The time at which S3 answered, by its own clock.
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use std::sync::{Arc, Mutex, PoisonError};

/// Notes the `Date` of the answer it is hung on. Of several attempts the last counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dated(Arc<Mutex<Option<DateTime>>>);

impl Dated {
    /// How long before the answer that was. Both are whole seconds of S3's own clock (rule E2).
    /// Unknown counts as new: nothing is called stale without proof.
    pub(crate) fn age_ms(&self, written: Option<&DateTime>) -> u64 {
        let answered = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = answered.zip(written).and_then(|(answered, written)| {
            Some(answered.to_millis().ok()?.saturating_sub(written.to_millis().ok()?))
        });
        age.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    fn note(&self, header: Option<&str>) {
        let date = header.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
    }
}

impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.note(context.response().headers().get("date"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_never_negative_and_never_guessed() {
        let written = DateTime::from_secs(1_700_000_000);
        for (date, written, expected) in [
            (Some("Tue, 14 Nov 2023 22:13:20 GMT"), Some(&written), 0),
            (Some("Tue, 14 Nov 2023 22:14:20 GMT"), Some(&written), 60_000),
            (Some("Tue, 14 Nov 2023 22:13:19 GMT"), Some(&written), 0),
            (Some("yesterday"), Some(&written), 0),
            (None, Some(&written), 0),
            (Some("Tue, 14 Nov 2023 22:14:20 GMT"), None, 0),
        ] {
            let dated = Dated::default();
            dated.note(date);
            assert_eq!(dated.age_ms(written), expected, "{date:?}");
        }
    }
}
