//! Autoscaler and drainer as Lambda runs them: real programs, with the variables of whoever deploys
//! them. No template says so here: a Terraform module does.
use crate::binary;
use crate::cloud::environment::Failed;
use crate::cloud::runtime::Lambda;
use crate::cloud::stack::{Function, Unattended};
use crate::cloud::{shared, threads};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use axum::body::Bytes;
use emulator::{ACCOUNT, Emulator, REGION};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// One function: what it is called, and what it finds in its environment.
pub struct Guise<'a> {
    /// Its calls are recorded, and may be refused, as those of `fn-NAME`.
    pub name: &'a str,
    /// The program: `autoscaler`.
    pub binary: &'a str,
    pub env: BTreeMap<String, String>,
    pub timeout: Duration,
}

pub struct Functions {
    pub lambda: Lambda,
}

impl Functions {
    /// Nothing runs before it is invoked. Their words go into files of this folder.
    pub fn new(emulator: &Emulator, logs: &Path, guises: Vec<Guise<'_>>) -> Self {
        let functions = guises.into_iter().map(|guise| {
            let program = binary::function(guise.binary);
            (function(guise), program)
        });
        std::fs::create_dir_all(logs).expect("a folder for logs");
        Self { lambda: Lambda::new(functions.collect(), &shared(emulator), logs) }
    }

    /// Invokes one, and waits for its answer.
    ///
    /// # Errors
    /// When it came to nothing, and why.
    pub fn invoke(&self, name: &str, event: &Value) -> Result<Value, Failed> {
        let event = Bytes::from(event.to_string());
        let answer = threads().block_on(self.lambda.invoke(name, event, None))?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Everything that was said, by all of them and by the box about them.
    pub fn said(&self) -> String {
        let logs = self.lambda.logs().map(|log| std::fs::read_to_string(log).unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n")
    }

    /// What was logged, line by line.
    pub fn lines(&self) -> Vec<Value> {
        self.said().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Logged lines with this message.
    pub fn told(&self, message: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["message"] == message);
        lines
    }
}

fn function(guise: Guise<'_>) -> Function {
    let Guise { name, binary, env, timeout } = guise;
    Function {
        logical: name.to_owned(),
        binary: binary.to_owned(),
        name: name.to_owned(),
        arn: format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"),
        env,
        timeout,
        memory_mb: 128,
        concurrency: Some(1),
        may_recur: false,
        unattended: Unattended { retries: 2, failures: None },
        allowed: Vec::new(),
    }
}

/// What EventBridge sends on a schedule, due at this time:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html>
pub fn scheduled(due: SystemTime) -> Value {
    let due = DateTime::from_secs(DateTime::from(due).secs())
        .fmt(DateTimeFormat::DateTime)
        .expect("a time");
    json!({
        "version": "0",
        "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": due,
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/tick")],
        "detail": {},
    })
}
