//! A worker whose tool is a table: it writes what a real one writes, in the same order.
use super::World;
use std::collections::BTreeMap;
use windlass_core::changes::{Changes, Resource};
use windlass_core::id::{Digest, InstanceId};
use windlass_core::instance::Instance;
use windlass_core::job::{
    Claim, Control, Delta, JobResult, JobSpec, News, OutputInfo, Outputs, Phase, PlanRef, Pointer,
    Report, Step, Verdict,
};
use windlass_core::keys;
use windlass_ports::{Blobs, Change, Outgoing, Queues, cas};

pub(crate) const WORKER: &str = "worker-1";

/// What one stack's tool says and does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tool {
    pub(crate) plan_log: String,
    pub(crate) apply_log: String,
    pub(crate) fails: Option<(Step, String)>,
    pub(crate) delta: Delta,
    pub(crate) changes: Changes,
    /// Name, value's JSON, sensitive.
    pub(crate) outputs: Vec<(String, serde_json::Value, bool)>,
    pub(crate) resources: Vec<Resource>,
    /// The job begins, and its worker goes on with it only when told.
    pub(crate) hangs_in: Option<Step>,
}

/// A job in the worker's hands.
pub(crate) struct Held {
    pub(crate) spec: JobSpec,
    queue: String,
    receipt: String,
}

impl World {
    /// Takes one job. False: there is none.
    pub(crate) async fn work(&mut self) -> bool {
        self.register().await;
        let pool = "default".into();
        for queue in [keys::first_queue(&pool), keys::rest_queue(&pool)] {
            let batch = self.queues.receive(&queue, 1, 0, 600_000).await.expect("received");
            let Some(delivery) = batch.into_iter().next() else { continue };
            let pointer: Pointer = serde_json::from_slice(&delivery.body).expect("a pointer");
            let spec = cas::load::<JobSpec>(&*self.docs, &keys::job_spec(&pointer.job)).await;
            let spec = spec.expect("loaded").expect("a spec").value;
            self.begin(Held { spec, queue, receipt: delivery.receipt }).await;
            return true;
        }
        false
    }

    async fn register(&mut self) {
        let (id, pool) = (InstanceId::from(WORKER), "default".into());
        let (key, now) = (keys::instance(&pool, &id), self.now());
        cas::update(&*self.docs, &key, "register", |before: Option<&Instance>| {
            Ok(match before {
                Some(_) => Change::Keep(()),
                None => Change::Write(Instance::new(&id, &pool, 2, "0.1.0", Some(4_711), now), ()),
            })
        })
        .await
        .expect("registered");
    }

    async fn begin(&mut self, held: Held) {
        let spec = held.spec.clone();
        let claim = Claim::Held {
            pool: spec.pool.clone(),
            worker: WORKER.into(),
            epoch: 1,
            group: None,
            at: self.now(),
        };
        let key = keys::job_claim(&spec.id);
        let known = cas::create(&*self.docs, &key, "claim", &claim).await.expect("claimed");
        if known.is_some() {
            self.queues.delete(&held.queue, &held.receipt).await.expect("deleted");
            return;
        }
        let tool = self.tools.get(&spec.stack.0).cloned().unwrap_or_default();
        let (steps, log): (&[Step], _) = match spec.id.phase {
            Phase::Plan => (&[Step::Preparing, Step::Initializing, Step::Planning], &tool.plan_log),
            Phase::Apply => (&[Step::Preparing, Step::Applying], &tool.apply_log),
            Phase::Destroy => (&[Step::Preparing, Step::Destroying], &tool.apply_log),
            Phase::Task => (&[Step::Preparing, Step::Performing], &tool.apply_log),
        };
        for step in steps {
            self.clock.advance(700);
            self.report(&spec, News::Began(*step)).await;
            if *step == Step::Initializing {
                let text = "\u{1b}[1mInitializing the backend...\u{1b}[0m\n\u{1b}[32mTerraform has \
                            been successfully initialized!\u{1b}[0m\n";
                self.say(&spec, *step, text).await;
            }
            if steps.last() == Some(step) {
                self.say(&spec, *step, log).await;
            }
            if tool.hangs_in == Some(*step) {
                self.held.push(held);
                return;
            }
        }
        self.end(held).await;
    }

    /// What hangs ends.
    pub(crate) async fn go_on(&mut self) {
        for held in std::mem::take(&mut self.held) {
            self.end(held).await;
        }
        self.settle().await;
    }

    /// Adds a part to a step's log.
    pub(crate) async fn say(&self, spec: &JobSpec, step: Step, text: &str) {
        if text.is_empty() {
            return;
        }
        let prefix = keys::log_parts(&spec.id, step);
        let parts = self.blobs.list(&prefix, None, 1_000).await.expect("listed");
        let mut offset = 0;
        for part in parts {
            offset += self.blobs.get(&part).await.expect("got").expect("a part").len() as u64;
        }
        let key = keys::log_part(&spec.id, step, offset);
        self.blobs.put(&key, text.as_bytes().to_vec()).await.expect("stored");
    }

    async fn end(&mut self, held: Held) {
        self.clock.advance(1_800);
        let spec = &held.spec;
        let mut result = self.execute(spec).await;
        let control = cas::load::<Control>(&*self.docs, &keys::job_control(&spec.id)).await;
        if control.expect("loaded").is_some() && spec.id.phase.repeatable() {
            result.verdict = Verdict::Interrupted;
        }
        let key = keys::job_result(&spec.id);
        cas::create(&*self.docs, &key, "result", &result).await.expect("stored");
        self.report(spec, News::Ended).await;
        self.queues.delete(&held.queue, &held.receipt).await.expect("deleted");
    }

    async fn report(&self, spec: &JobSpec, news: News) {
        let report = Report {
            job: spec.id.clone(),
            stack: spec.stack.clone(),
            worker: WORKER.into(),
            at: self.now(),
            news,
        };
        let message = Outgoing {
            body: serde_json::to_vec(&report).expect("json"),
            group: Some(keys::stack_group(&spec.stack)),
            dedup: Some(format!("{} {news:?}", spec.id)),
            delay_ms: 0,
        };
        self.queues.send(keys::REPORTS, message).await.expect("sent");
    }

    async fn execute(&self, spec: &JobSpec) -> JobResult {
        let tool = self.tools.get(&spec.stack.0).cloned().unwrap_or_default();
        let phase = spec.id.phase;
        let put = async |key: String, body: Vec<u8>| {
            self.blobs.put(&key, body).await.expect("stored");
            key
        };
        let failed =
            tool.fails.filter(|(step, _)| (*step == Step::Planning) == (phase == Phase::Plan));
        let good = failed.is_none();
        let verdict = match failed {
            None => Verdict::Ok,
            Some((step, reason)) => Verdict::Failed { step, reason },
        };
        let json = |value: &dyn erased::Json| value.json();
        let changes_key = match phase == Phase::Plan && good {
            true => Some(put(keys::plan_changes(&spec.id), json(&tool.changes)).await),
            false => None,
        };
        let (mut outputs, mut resources_key) = (None, None);
        if phase == Phase::Apply && good {
            let values: BTreeMap<_, _> = tool
                .outputs
                .iter()
                .map(|(name, value, sensitive)| {
                    let shown = serde_json::json!({ "value": value, "sensitive": sensitive });
                    (name.clone(), shown)
                })
                .collect();
            let key = put(keys::output_values(&spec.stack, &spec.id), json(&values)).await;
            let infos = tool.outputs.iter().map(|(name, value, sensitive)| {
                let digest = Digest::of(value.to_string().as_bytes());
                (name.clone(), OutputInfo { digest, sensitive: *sensitive })
            });
            outputs = Some(Outputs { key, values: infos.collect() });
            resources_key = Some(put(keys::resource_list(&spec.id), json(&tool.resources)).await);
        }
        JobResult {
            worker: Some(WORKER.into()),
            delta: good.then_some(tool.delta),
            changes: !tool.delta.is_zero(),
            plan: (phase == Phase::Plan).then(|| PlanRef {
                key: keys::plan_archive(&spec.id),
                digest: Digest::of(format!("{} {}", spec.id, spec.commit).as_bytes()),
            }),
            changes_key,
            outputs,
            resources_key,
            drifted: Some(windlass_core::drift::Drifted::of(&tool.changes)),
            tool_ms: 1_234,
            tool_version: Some("Terraform v1.11.4".to_owned()),
            ..JobResult::blank(&spec.id, &spec.stack, verdict, self.now())
        }
    }
}

mod erased {
    /// Anything that serialises, by reference.
    pub(crate) trait Json {
        fn json(&self) -> Vec<u8>;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> Vec<u8> {
            serde_json::to_vec(self).expect("json")
        }
    }
}
