//! EventBridge's default bus: events that match a rule's pattern invoke its function. What a bucket
//! tells is taken from the API server.
use super::aws::Aws;
use super::runtime::Lambda;
use super::stack::Rule;
use anyhow::{Result, bail, ensure};
use axum::body::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const AGAIN: Duration = Duration::from_millis(200);

pub struct Bus {
    aws: Aws,
    lambda: Arc<Lambda>,
    rules: Vec<Rule>,
}

impl Bus {
    pub fn new(aws: &Aws, lambda: &Arc<Lambda>, rules: &[Rule]) -> Self {
        Self { aws: aws.clone(), lambda: lambda.clone(), rules: rules.to_vec() }
    }

    /// Delivers what happens from now on.
    pub fn run(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        if self.rules.is_empty() {
            return vec![];
        }
        let bus = self.clone();
        let mut newest = self.aws.emulator.events_so_far().unwrap_or_default();
        vec![tokio::spawn(async move {
            loop {
                let Some((events, next)) = bus.look(newest).await else {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                };
                newest = next;
                for event in events {
                    bus.clone().publish(event);
                }
            }
        })]
    }

    async fn look(&self, after: u64) -> Option<(Vec<Value>, u64)> {
        let emulator = self.aws.emulator.clone();
        tokio::task::spawn_blocking(move || emulator.events(after)).await.ok()?.ok()
    }

    /// Each function that a rule sends this to is invoked; nobody waits for it, and what failed is
    /// not tried again: rules of ours ask for no more, and a tick comes.
    pub fn publish(self: Arc<Self>, event: Value) {
        let text = Bytes::from(event.to_string());
        for rule in self.rules.iter().filter(|rule| matches(&rule.pattern, &event)) {
            let (bus, function, text) = (self.clone(), rule.function.clone(), text.clone());
            tokio::spawn(async move {
                if let Err(why) = bus.lambda.invoke(&function, text, None).await {
                    bus.lambda.note(&function, &format!("EVENT failed: {why}"));
                }
            });
        }
    }
}

/// Whether the box can tell what a pattern means.
///
/// # Errors
/// When it can't.
pub fn understood(pattern: &Value) -> Result<()> {
    match pattern {
        Value::Object(fields) => fields.values().try_for_each(understood),
        Value::Array(choices) => choices.iter().try_for_each(|choice| match choice {
            Value::Object(filter) => {
                let known = filter.len() == 1 && choice["wildcard"].is_string();
                ensure!(known, "the filter {choice} is not understood");
                Ok(())
            }
            Value::Array(_) => bail!("{choice} is no choice"),
            _ => Ok(()),
        }),
        other => bail!("{other} is neither fields nor choices"),
    }
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>: every field of
/// the pattern is there, and is one of its choices.
fn matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, inner)| matches(inner, &event[name])),
        Value::Array(choices) => choices.iter().any(|choice| match choice["wildcard"].as_str() {
            Some(wildcard) => event.as_str().is_some_and(|text| like(wildcard, text)),
            None => choice == event,
        }),
        _ => false,
    }
}

/// `*` is any text.
fn like(wildcard: &str, text: &str) -> bool {
    match wildcard.split_once('*') {
        None => wildcard == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.any(|at| like(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_takes_what_its_pattern_says() {
        let pattern = json!({ "source": ["aws.s3"], "detail-type": ["Object Created"],
            "detail": { "bucket": { "name": ["b"] }, "object": { "key": [{ "wildcard": "jobs/*/spec" }] } } });
        understood(&pattern).unwrap();
        let event = |bucket: &str, key: &str| {
            json!({ "source": "aws.s3", "detail-type": "Object Created", "time": "…",
                "detail": { "bucket": { "name": bucket }, "object": { "key": key, "size": 1 } } })
        };
        for (bucket, key, expect) in [
            ("b", "jobs/r-plan-1/spec", true),
            ("b", "jobs/r-plan-1/claim", false),
            ("b", "stacks/jobs/r/spec", false),
            ("b", "jobs/r-plan-1/spec-of-old", false),
            ("other", "jobs/r-plan-1/spec", false),
        ] {
            assert_eq!(matches(&pattern, &event(bucket, key)), expect, "{bucket} {key}");
        }
        assert!(!matches(&pattern, &json!({ "source": "aws.s3" })));
        for odd in [json!({ "a": [{ "prefix": "x" }] }), json!({ "a": "x" }), json!({ "a": [[]] })]
        {
            assert!(understood(&odd).is_err(), "{odd}");
        }
    }
}
