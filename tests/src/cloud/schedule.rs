//! Schedules: by the machine's clock, or at once when a test says so.
use super::aws::Aws;
use super::environment::Failed;
use super::runtime::{Lambda, new_id};
use super::stack::Schedule;
use anyhow::{Context as _, Result, bail};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use axum::body::Bytes;
use emulator::{ACCOUNT, REGION};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// AWS waits longer.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// A box's schedules.
pub struct Clock {
    aws: Aws,
    lambda: Arc<Lambda>,
    schedules: Vec<Schedule>,
}

impl Clock {
    /// # Errors
    /// When an expression is not understood.
    pub fn new(aws: &Aws, lambda: &Arc<Lambda>, schedules: &[Schedule]) -> Result<Self> {
        for schedule in schedules {
            period(&schedule.expression)
                .with_context(|| format!("the schedule {}", schedule.logical))?;
        }
        let (aws, lambda) = (aws.clone(), lambda.clone());
        Ok(Self { aws, lambda, schedules: schedules.to_vec() })
    }

    /// Fires each schedule at its times, `speed` times as often as it says: what a person waits a
    /// minute for, a story must not.
    pub fn run(self: &Arc<Self>, speed: u32) -> Vec<JoinHandle<()>> {
        let fire = |schedule: &Schedule| {
            let (clock, schedule) = (self.clone(), schedule.clone());
            let period = period(&schedule.expression).unwrap_or(Duration::from_secs(60)) / speed;
            tokio::spawn(async move {
                loop {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    let ms = period.as_millis().max(1);
                    let left = ms - now.as_millis() % ms;
                    let left = u64::try_from(left).unwrap_or(u64::MAX);
                    tokio::time::sleep(Duration::from_millis(left)).await;
                    let _ = clock.fire(&schedule).await;
                }
            })
        };
        self.schedules.iter().map(fire).collect()
    }

    /// Fires everything now, whatever its time.
    ///
    /// # Errors
    /// What a function failed with.
    pub async fn tick(&self) -> Result<(), Failed> {
        for schedule in &self.schedules {
            self.fire(schedule).await?;
        }
        Ok(())
    }

    /// Nobody waits for these: what fails is tried again as the function's own settings say, and
    /// then told to the queue that they name. What never reached the function goes to the
    /// schedule's own queue.
    async fn fire(&self, schedule: &Schedule) -> Result<(), Failed> {
        let input = schedule.input.clone().unwrap_or_else(|| occurrence(&schedule.logical));
        let unattended = self.lambda.unattended(&schedule.function);
        let mut tries = 0;
        loop {
            let outcome =
                self.lambda.invoke(&schedule.function, Bytes::from(input.clone()), None).await;
            let Err(why) = outcome else { return Ok(()) };
            tries += 1;
            if tries <= unattended.retries {
                tokio::time::sleep(BETWEEN_TRIES).await;
                continue;
            }
            match why {
                Failed::Throttled | Failed::Down => {
                    self.tell(schedule.undelivered.as_deref(), &input).await;
                }
                _ => {
                    let told = json!({
                        "requestContext": { "condition": "RetriesExhausted", "approximateInvokeCount": tries },
                        "requestPayload": input,
                        "responsePayload": why.to_string(),
                    });
                    self.tell(unattended.failures.as_deref(), &told.to_string()).await;
                }
            }
            return Err(why);
        }
    }

    async fn tell(&self, queue: Option<&str>, body: &str) {
        let Some(queue) = queue else { return };
        let asked = self.aws.sqs.send_message().queue_url(self.aws.queue_url(queue));
        let _ = asked.message_body(body).send().await;
    }
}

/// What EventBridge itself sends at a rule's time:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
fn occurrence(rule: &str) -> String {
    let now = DateTime::from(SystemTime::now());
    let time = DateTime::from_secs(now.secs()).fmt(DateTimeFormat::DateTime).unwrap_or_default();
    json!({
        "version": "0",
        "id": new_id(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": time,
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}")],
        "detail": {},
    })
    .to_string()
}

/// How far apart its times are.
fn period(expression: &str) -> Result<Duration> {
    let inside = |name: &str| expression.strip_prefix(name)?.strip_suffix(')');
    if let Some(rate) = inside("rate(") {
        let (number, unit) = rate.split_once(' ').context("a rate has a number and a unit")?;
        let number: u64 = number.parse().context("a rate's number")?;
        let seconds = match (unit, number) {
            ("minute", 1) | ("minutes", 2..) => 60,
            ("hour", 1) | ("hours", 2..) => 3_600,
            ("day", 1) | ("days", 2..) => 86_400,
            _ => bail!("`{expression}`: one minute, two minutes"),
        };
        return Ok(Duration::from_secs(number * seconds));
    }
    let Some(cron) = inside("cron(") else { bail!("`{expression}` is neither a rate nor a cron") };
    // A box lives minutes: of crons it knows those of every n minutes and of every hour.
    let minutes = match cron.split(' ').collect::<Vec<_>>()[..] {
        ["*", "*", "*", "*", "?", "*"] => 1,
        [minute, "*", "*", "*", "?", "*"] => match minute.split_once('/') {
            Some((_, step)) => step.parse().context("a step of minutes")?,
            None => 60,
        },
        [_, _, _, _, _, _] => 24 * 60,
        _ => bail!("`{expression}`: a cron has six fields"),
    };
    Ok(Duration::from_secs(minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        #[rustfmt::skip]
        let table = [
            ("rate(1 minute)",        Some(60)),
            ("rate(5 minutes)",       Some(300)),
            ("rate(1 minutes)",       None),
            ("cron(* * * * ? *)",     Some(60)),
            ("cron(0/15 * * * ? *)",  Some(900)),
            ("cron(7 * * * ? *)",     Some(3_600)),
            ("cron(0 3 * * ? *)",     Some(86_400)),
            ("cron(0 3 * * *)",       None),
            ("each minute",           None),
        ];
        for (expression, expect) in table {
            assert_eq!(period(expression).ok().map(|p| p.as_secs()), expect, "{expression}");
        }
    }
}
