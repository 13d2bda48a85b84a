//! Looking at the world, past all faults.
use super::{REPO, World};
use windlass_core::id::{EventId, RunId};
use windlass_core::job::{Claim, JobId, JobResult};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::run::Run;
use windlass_core::stack::{Answer, StackHead};
use windlass_ports::{Docs, cas};

impl World {
    pub(crate) async fn load<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        cas::load::<T>(&*self.docs, key).await.expect(key).map(|found| found.value)
    }

    pub(crate) async fn head(&self, stack: &str) -> StackHead {
        let stack = stack.into();
        self.load(&keys::head(&stack)).await.unwrap_or_else(|| StackHead::new(&stack))
    }

    pub(crate) async fn repo(&self) -> RepoHead {
        self.load(&keys::repo(&REPO.into())).await.expect("a known repository")
    }

    pub(crate) async fn answer(&self, stack: &str, event: &EventId) -> Option<Answer> {
        self.head(stack).await.answer_to(event).cloned()
    }

    /// As its stack's head tells of it, while it does.
    pub(crate) async fn run(&self, id: &RunId) -> Run {
        let stored: Run = self.load(&keys::run(id)).await.expect("a run's document");
        self.head(&stored.stack.0).await.run(id).cloned().unwrap_or(stored)
    }

    pub(crate) async fn claim_of(&self, job: &JobId) -> Option<Claim> {
        self.load(&keys::job_claim(job)).await
    }

    pub(crate) async fn result_of(&self, job: &JobId) -> Option<JobResult> {
        self.load(&keys::job_result(job)).await
    }

    /// All runs of a stack, oldest first, from their documents.
    pub(crate) async fn runs(&self, stack: &str) -> Vec<Run> {
        let prefix = keys::stack_runs(&stack.into());
        let mut runs = Vec::new();
        for listed in self.docs.list(&prefix, None, 1_000).await.expect("list") {
            runs.push(self.run(&RunId::from(&listed.key[prefix.len()..])).await);
        }
        runs
    }

    pub(crate) async fn newest(&self, stack: &str) -> Run {
        self.runs(stack).await.pop().expect("a run")
    }

    /// The newest run's state, by its name.
    pub(crate) async fn state(&self, stack: &str) -> String {
        let runs = self.runs(stack).await;
        runs.last().map_or("NONE", |run| run.state.name().as_str()).to_owned()
    }

    pub(crate) async fn states(&self, stacks: &[&str]) -> Vec<String> {
        let mut states = Vec::new();
        for stack in stacks {
            states.push(self.state(stack).await);
        }
        states
    }

    /// The job of the stack's active run.
    pub(crate) async fn job(&self, stack: &str) -> JobId {
        let active = self.head(stack).await.active.expect("an active run");
        active.job().expect("a job in flight")
    }

    /// How often this stack's tool applied something.
    pub(crate) fn applies(&self, stack: &str) -> usize {
        self.applied.iter().filter(|(applied, _)| applied.as_str() == stack).count()
    }
}

impl World {
    pub(crate) async fn rollouts(&self) -> usize {
        self.docs.list(keys::ROLLOUTS, None, 1_000).await.expect("list").len()
    }

    /// The definitions changed, as far as routing is concerned.
    pub(crate) async fn edit_index(
        &self,
        edit: impl Fn(&mut windlass_core::index::RepoIndex) + Send + Sync,
    ) {
        let key = keys::repo_index(&REPO.into());
        let edited = cas::update(&*self.docs, &key, "edit", |index| {
            let mut next = index.cloned().unwrap_or_default();
            edit(&mut next);
            Ok(windlass_ports::Change::Write(next, ()))
        });
        edited.await.expect("edited");
    }
}
