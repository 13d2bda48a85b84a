//! The life of a stack, as its actor is told it: deployments with and without a person, previews,
//! duplicates, sweeps. Made once by a first pass, so that only decisions are measured.
use windlass_core::definition::{DependsOn, Reference, StackDef, administrative};
use windlass_core::event::{Command, StackEnvelope, StackEvent};
use windlass_core::id::{Digest, EventId, InstanceId, RunId, StackId};
use windlass_core::job::{
    Delta, JobId, JobResult, News, OutputInfo, Outputs, Phase, PlanRef, Report, Step, Verdict,
};
use windlass_core::rollout::{Child, Outcome, Wait};
use windlass_core::run::{Commit, NewRun, RunType, StateName};
use windlass_core::stack::{Facts, StackHead, StackOutputs, decide};
use windlass_core::time::UnixMs;

/// One event with everything that its decision reads.
pub(crate) struct Told {
    pub(crate) envelope: StackEnvelope,
    pub(crate) facts: Facts,
    pub(crate) now: UnixMs,
}

/// A stack with a parent whose output it uses.
#[must_use]
pub(crate) fn definition(slug: &str, parent: Option<&str>) -> StackDef {
    let depends_on = parent.into_iter().map(|parent| DependsOn {
        stack: parent.into(),
        references: vec![Reference {
            output: "vpc_id".into(),
            input: "TF_VAR_vpc_id".into(),
            trigger_always: false,
        }],
    });
    StackDef {
        slug: slug.into(),
        name: slug.to_owned(),
        description: "Networks and what hangs on them".into(),
        project_root: format!("stacks/{slug}"),
        labels: ["team:platform".to_owned()].into(),
        tool: windlass_core::definition::Tool::Auto,
        worker_pool: "default".into(),
        autodeploy: true,
        protect_from_deletion: false,
        depends_on: depends_on.collect(),
        manage_state: true,
        administrative: false,
        ..administrative(&"infra".into(), "main")
    }
}

/// What becomes of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    Applied,
    Confirmed,
    Unchanged,
    Failed,
    Preview,
}

/// Tells a stack's actor one thing after another, and keeps what it was told.
pub(crate) struct Life {
    pub(crate) head: StackHead,
    pub(crate) told: Vec<Told>,
    pub(crate) now: UnixMs,
    stack: StackId,
    events: u64,
    commits: u64,
}

impl Life {
    #[must_use]
    pub(crate) fn begin(slug: &str, parent: Option<&str>, now: UnixMs) -> Self {
        let stack = StackId::from(slug);
        let head = StackHead::new(&stack);
        let mut life = Self { head, told: Vec::new(), now, stack, events: 0, commits: 0 };
        let def = Box::new(definition(slug, parent));
        let commit = "4f2c91ab00000000000000000000000000000000".into();
        life.tell(StackEvent::Define { def, commit, revision: 1 }, Facts::default());
        life
    }

    fn event_id(&self) -> EventId {
        EventId(format!("{}-{}", self.stack, self.events))
    }

    fn tell(&mut self, event: StackEvent, facts: Facts) {
        let id = self.event_id();
        self.events += 1;
        self.now = self.now.plus_ms(250);
        let envelope =
            StackEnvelope { id, stack: self.stack.clone(), at: self.now, hops: 0, event };
        let head = std::mem::replace(&mut self.head, StackHead::new(&self.stack));
        self.head = decide(head, &envelope, &facts, self.now).head;
        self.told.push(Told { envelope, facts, now: self.now });
    }

    /// A run from its birth to its end.
    pub(crate) fn run(&mut self, ends: Ends) -> RunId {
        let id = self.born(ends);
        self.plan(&id, ends);
        if ends == Ends::Confirmed {
            self.confirm(&id);
        }
        if matches!(ends, Ends::Applied | Ends::Confirmed) {
            self.apply(&id);
        }
        id
    }

    /// A run that is queued, hears of its parent, and waits for a worker.
    pub(crate) fn born(&mut self, ends: Ends) -> RunId {
        self.commits += 1;
        let id = RunId::derive(self.now, &self.event_id(), &self.stack);
        let parent = RunId(format!("01PARENT{:018}", self.commits));
        let references = self.head.defined.def().and_then(|def| def.depends_on.first());
        let wait = references.map(|edge| Wait {
            stack: edge.stack.clone(),
            references: edge.references.clone(),
            heard: None,
        });
        let commit = Commit {
            sha: Digest::of(self.commits.to_string().as_bytes()).0[..40].into(),
            seq: self.commits,
            author: "Dana Demo".into(),
            subject: "Widen the subnets".into(),
        };
        let kind = if ends == Ends::Preview { RunType::Proposed } else { RunType::Tracked };
        let waits_for = wait.filter(|_| kind == RunType::Tracked);
        let mut new = NewRun {
            id: id.clone(),
            kind,
            repository: "infra".into(),
            branch: "main".into(),
            because: "the push touched stacks/network/main.tf".into(),
            children: vec![Child { stack: "cluster".into(), run: "01CHILD".into() }],
            direct: true,
            force_apply: false,
            ..NewRun::blank(commit)
        };
        new.waits.extend(waits_for.clone().map(|wait| (parent.clone(), wait)));
        let facts = Facts { outputs: self.parent_outputs(), ..Facts::default() };
        self.tell(StackEvent::Queue { run: Box::new(new) }, facts);
        if waits_for.is_some() {
            let outcome = Outcome::Good { changed: ["vpc_id".to_owned()].into() };
            let ended = StackEvent::ParentEnded { child: id.clone(), parent, try_no: 1, outcome };
            let facts = Facts { outputs: self.parent_outputs(), ..Facts::default() };
            self.tell(ended, facts);
        }
        id
    }

    fn parent_outputs(&self) -> std::collections::BTreeMap<StackId, StackOutputs> {
        let def = self.head.defined.def();
        let parents = def.into_iter().flat_map(|def| &def.depends_on);
        parents
            .map(|edge| {
                let outputs = outputs("private/outputs/parent/1.json");
                let published = StackOutputs {
                    stack: edge.stack.clone(),
                    run: "01PARENT".into(),
                    outputs,
                    resources_key: None,
                    head_revision: 1,
                };
                (edge.stack.clone(), published)
            })
            .collect()
    }

    fn job(&self, id: &RunId) -> Option<JobId> {
        self.head.run(id).and_then(windlass_core::run::Run::job)
    }

    fn reports(&mut self, id: &RunId, steps: &[Step], result: impl FnOnce(&JobId) -> JobResult) {
        let Some(job) = self.job(id) else { return };
        let report = |news, at| Report {
            job: job.clone(),
            stack: self.stack.clone(),
            worker: InstanceId::from("local-1"),
            at,
            news,
        };
        let mut all: Vec<Report> =
            steps.iter().map(|step| report(News::Began(*step), self.now)).collect();
        // A queue delivers at least once: every step's report comes twice now and then.
        if self.events.is_multiple_of(3) {
            all.extend(all.last().cloned());
        }
        let ended = report(News::Ended, self.now);
        for report in all {
            self.tell(StackEvent::Report { report }, Facts::default());
        }
        let mut facts = Facts { outputs: self.parent_outputs(), ..Facts::default() };
        facts.results.insert(job.clone(), result(&job));
        self.tell(StackEvent::Report { report: ended }, facts);
    }

    pub(crate) fn plan(&mut self, id: &RunId, ends: Ends) {
        let warnings = match ends {
            Ends::Confirmed => vec!["A database would be replaced.".to_owned()],
            _ => Vec::new(),
        };
        let stack = self.stack.clone();
        self.reports(id, &[Step::Preparing, Step::Initializing, Step::Planning], |job| JobResult {
            verdict: match ends {
                Ends::Failed => Verdict::Failed {
                    step: Step::Planning,
                    reason: "Reference to undeclared input variable".into(),
                },
                _ => Verdict::Ok,
            },
            delta: Some(Delta { add: 2, change: 1, delete: 0 }),
            changes: ends != Ends::Unchanged,
            plan: Some(PlanRef {
                key: windlass_core::keys::plan_archive(job),
                digest: Digest::of(job.to_string().as_bytes()),
            }),
            changes_key: Some(windlass_core::keys::plan_changes(job)),
            warnings,
            ..result(job, &stack)
        });
    }

    pub(crate) fn confirm(&mut self, id: &RunId) {
        let Some(run) = self.head.run(id) else { return };
        if run.state.name() != StateName::Unconfirmed {
            return;
        }
        let digest = run.state.planned().map(|planned| planned.plan.digest.clone());
        let command = Command::Confirm {
            run: id.clone(),
            digest: digest.unwrap_or_default(),
            version: run.version,
        };
        self.tell(StackEvent::Command { actor: "dana".into(), command }, Facts::default());
    }

    pub(crate) fn apply(&mut self, id: &RunId) {
        let stack = self.stack.clone();
        self.reports(id, &[Step::Preparing, Step::Initializing, Step::Applying], |job| JobResult {
            outputs: Some(outputs(&windlass_core::keys::output_values(&stack, job))),
            resources_key: Some(windlass_core::keys::resource_list(job)),
            ..result(job, &stack)
        });
    }

    /// The tick looks after it.
    pub(crate) fn swept(&mut self) {
        self.tell(StackEvent::Due, Facts::default());
    }
}

fn result(job: &JobId, stack: &StackId) -> JobResult {
    JobResult {
        worker: Some("local-1".into()),
        delta: (job.phase == Phase::Plan).then(Delta::default),
        tool_ms: 1_400,
        tool_version: Some("Terraform v1.11.4".into()),
        ..JobResult::blank(job, stack, Verdict::Ok, UnixMs(0))
    }
}

fn outputs(key: &str) -> Outputs {
    let info = |text: &str| OutputInfo { digest: Digest::of(text.as_bytes()), sensitive: false };
    let values = [("vpc_id".to_owned(), info(key)), ("subnets".to_owned(), info("3"))].into();
    Outputs { key: key.to_owned(), values }
}
