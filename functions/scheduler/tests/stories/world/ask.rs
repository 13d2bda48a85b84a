//! What people, clients and repositories do to the world.
use super::{REPO, Tool, World};
use std::collections::BTreeMap;
use windlass_core::event::{
    Command, Intent, RepoEnvelope, RepoEvent, StackEnvelope, StackEvent, Trigger,
};
use windlass_core::id::{EventId, StackId};
use windlass_core::keys;
use windlass_core::run::{Commit, RunType, State};
use windlass_ports::{Outgoing, Queues};

/// network → cluster → app-a, app-b; app-b waits for a person.
pub(crate) const DEFINITIONS: &str = r"
version: 1
stacks:
  - { name: network, project_root: stacks/network, autodeploy: true }
  - name: cluster
    project_root: stacks/cluster
    autodeploy: true
    depends_on: [{ stack: network, references: [{ output: vpc_id, input: TF_VAR_vpc_id }] }]
  - name: app-a
    project_root: stacks/app-a
    autodeploy: true
    depends_on: [{ stack: cluster }]
  - name: app-b
    project_root: stacks/app-b
    depends_on: [{ stack: cluster }]
";

impl World {
    /// The demo's repository, all four stacks applied.
    pub(crate) async fn demo() -> Self {
        let mut world = World::new();
        let outputs = BTreeMap::from([("vpc_id".to_owned(), "vpc-1".to_owned())]);
        let network = Tool { outputs, ..Tool::default() };
        world.tools.insert("network".into(), network);
        world.define(DEFINITIONS, &["network", "cluster", "app-a", "app-b"]).await;
        world.settle().await;
        world.confirm("app-b").await;
        world.settle().await;
        world
    }

    /// These definitions, each stack applied or waiting for a person.
    pub(crate) async fn with(definitions: &str, stacks: &[&str]) -> Self {
        let mut world = World::new();
        world.define(definitions, stacks).await;
        world.settle().await;
        world
    }

    /// One stack that was applied, autodeploy on.
    pub(crate) async fn one() -> Self {
        Self::with(&one(true), &["net"]).await
    }

    /// A first push: definitions and a file in each stack's folder.
    pub(crate) async fn define(&mut self, definitions: &str, stacks: &[&str]) {
        let paths: Vec<String> = stacks.iter().map(|s| format!("stacks/{s}/main.tf")).collect();
        let mut files = vec![("windlass.yaml", definitions), ("README.md", "")];
        files.extend(paths.iter().map(|path| (path.as_str(), "")));
        self.push("main", &files).await;
    }

    /// Pushes files to a branch and lets the repository be looked at.
    pub(crate) async fn push(&mut self, branch: &str, files: &[(&str, &str)]) {
        self.advance(1_000);
        self.source.push(REPO, branch, files);
        // If that fails, whoever watches the repository looks again.
        let _ = self.observe().await;
    }

    /// A change in one stack's folder.
    pub(crate) async fn touch(&mut self, stack: &str) {
        self.events += 1;
        let (path, text) = (format!("stacks/{stack}/main.tf"), format!("# {}", self.events));
        self.push("main", &[(&path, &text)]).await;
    }

    pub(crate) async fn observe(&self) -> Result<usize, windlass_ports::Fault> {
        let mut served = self.deps.repositories.iter();
        let repository = served.find(|served| served.name.as_str() == REPO).expect("served");
        scheduler::observe(&self.deps, repository).await
    }

    /// Asks a stack for something, as the API does, and returns the event's id.
    pub(crate) async fn command(&mut self, stack: &str, command: Command) -> EventId {
        let event = StackEvent::Command { actor: "ann".to_owned(), command };
        self.tell(stack, event).await
    }

    pub(crate) async fn tell(&mut self, stack: &str, event: StackEvent) -> EventId {
        self.advance(1_000);
        let envelope = self.envelope(stack, event);
        let id = envelope.id.clone();
        self.send(Intent::Stack(envelope)).await;
        id
    }

    pub(crate) fn envelope(&mut self, stack: &str, event: StackEvent) -> StackEnvelope {
        self.events += 1;
        let id = EventId(format!("event-{}", self.events));
        let (stack, at) = (StackId::from(stack), self.now());
        StackEnvelope { id, stack, at, hops: 0, event }
    }

    pub(crate) async fn trigger(&mut self, stack: &str, kind: RunType) -> EventId {
        self.trigger_of(stack, kind, None).await
    }

    /// A tracked run of a commit that somebody chose.
    pub(crate) async fn roll_back(&mut self, stack: &str, commit: Commit) -> EventId {
        self.trigger_of(stack, RunType::Tracked, Some(commit)).await
    }

    async fn trigger_of(&mut self, stack: &str, kind: RunType, commit: Option<Commit>) -> EventId {
        self.advance(1_000);
        self.events += 1;
        let id = EventId(format!("event-{}", self.events));
        let trigger = Trigger {
            stack: stack.into(),
            kind,
            commit,
            actor: "ann".to_owned(),
            force_apply: false,
            drift: false,
        };
        let event = RepoEvent::Trigger { trigger: Box::new(trigger) };
        let (repo, at) = (REPO.into(), self.now());
        self.send(Intent::Repo(RepoEnvelope { id: id.clone(), repo, at, hops: 0, event })).await;
        id
    }

    /// Straight into the queue, as a client whose ports do not fail.
    pub(crate) async fn send(&self, intent: Intent) {
        let message = Outgoing {
            body: serde_json::to_vec(&intent).expect("json"),
            group: Some(intent.group()),
            dedup: Some(intent.id().0.clone()),
            delay_ms: 0,
        };
        self.queues.send(keys::INTENTS, message).await.expect("sent");
    }

    /// As [`Self::send`], by a sender whose repetition comes after deduplication forgot it.
    pub(crate) async fn send_late(&mut self, intent: Intent) {
        self.events += 1;
        let message = Outgoing {
            body: serde_json::to_vec(&intent).expect("json"),
            group: Some(intent.group()),
            dedup: Some(format!("late-{}", self.events)),
            delay_ms: 0,
        };
        self.queues.send(keys::INTENTS, message).await.expect("sent");
    }

    /// Confirms the stack's unconfirmed run as it stands.
    pub(crate) async fn confirm(&mut self, stack: &str) -> EventId {
        let run = self.head(stack).await.active.expect("an active run");
        let State::Unconfirmed { planned } = &run.state else { panic!("{:?}", run.state) };
        let (digest, version) = (planned.plan.digest.clone(), run.version);
        let run = run.id().clone();
        self.command(stack, Command::Confirm { run, digest, version }).await
    }
}

/// One stack, `net`.
pub(crate) fn one(autodeploy: bool) -> String {
    format!(
        "version: 1\nstacks:\n  - {{ name: net, project_root: stacks/net, \
         autodeploy: {autodeploy} }}\n"
    )
}
