//! Where the story plays: the sample, the server's API, and the teller who watches both.
use super::sample::Sample;
use super::teller::Teller;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use api::v1::{CommitDetail, RolloutView, RunDetail, RunList, RunView};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the story looks at what goes on; nobody reads faster.
const LOOK: Duration = Duration::from_millis(80);
/// A step that takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// A person may take their time.
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_secs(60 * 60);

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) sample: Sample,
    pub(crate) teller: Teller,
    /// A person sits there and confirms by themselves.
    pub(crate) by_hand: bool,
    pub(crate) interrupted: Arc<AtomicBool>,
}

/// Why the story does not go on.
pub(crate) enum Halt {
    Interrupted,
    /// What was waited for did not come.
    Late(String),
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stage {
    /// Looks until there is something to see.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        look: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Halt> {
        self.until_within(PATIENCE, what, look)
    }

    /// The same, where a person decides when.
    pub(crate) fn until_a_person<T>(
        &mut self,
        what: &str,
        look: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Halt> {
        self.until_within(PATIENCE_WITH_PEOPLE, what, look)
    }

    fn until_within<T>(
        &mut self,
        patience: Duration,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Halt> {
        let deadline = Instant::now() + patience;
        loop {
            if self.interrupted.load(Ordering::SeqCst) {
                return Err(Halt::Interrupted);
            }
            if let Some(seen) = look(self)? {
                return Ok(seen);
            }
            if Instant::now() > deadline {
                return Err(Halt::Late(format!("{what}: not within {} s", patience.as_secs())));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The rollout of a commit as it stands now, told as a tree.
    pub(crate) fn watch(&mut self, sha: &str) -> Result<Option<RolloutView>, Failure> {
        let rollout = match self.client.get::<CommitDetail>(&format!("/commits/{sha}")) {
            Ok(commit) => commit.rollouts.into_iter().next(),
            Err(failure) if failure.exit == Exit::NotFound => None,
            Err(failure) => return Err(failure),
        };
        if rollout.as_ref().is_some_and(|rollout| rollout.nothing.is_none()) {
            self.teller.stacks(rollout.as_ref());
        }
        Ok(rollout)
    }

    /// The rollout of a commit once all of it has ended.
    pub(crate) fn settled(&mut self, sha: &str) -> Result<RolloutView, Halt> {
        self.until("the end of the rollout", |stage| {
            let rollout = stage.watch(sha)?;
            Ok(rollout.filter(|rollout| rollout.done || rollout.nothing.is_some()))
        })
    }

    /// The run of a stack in this commit's rollout, once it is as wanted.
    pub(crate) fn run_of(
        &mut self,
        sha: &str,
        stack: &str,
        wanted: impl Fn(&RunView) -> bool,
    ) -> Result<RunView, Halt> {
        self.until(&format!("the run of {stack}"), |stage| {
            let rollout = stage.watch(sha)?;
            Ok(rollout.and_then(|rollout| find(&rollout, stack)).filter(|run| wanted(run)))
        })
    }

    pub(crate) fn run(&self, id: &str) -> Result<RunDetail, Failure> {
        self.client.get(&format!("/runs/{id}"))
    }

    /// All runs so far, oldest first.
    pub(crate) fn runs(&self) -> Result<Vec<RunView>, Failure> {
        let (mut runs, mut after) = (Vec::new(), None::<String>);
        loop {
            let path = match &after {
                None => "/runs?limit=100".to_owned(),
                Some(after) => format!("/runs?limit=100&after={after}"),
            };
            let page: RunList = self.client.get(&path)?;
            runs.extend(page.runs);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(runs)
    }
}

/// The newest run of a stack in a rollout.
pub(crate) fn find(rollout: &RolloutView, stack: &str) -> Option<RunView> {
    rollout.runs.iter().find(|member| member.stack == stack)?.run.clone()
}

/// `network FINISHED, cluster SKIPPED`: how a rollout ended, parents first.
pub(crate) fn states(rollout: &RolloutView) -> String {
    let states = rollout.runs.iter().map(|member| {
        let state = member.run.as_ref().map_or("not made", |run| run.state.as_str());
        format!("{} {state}", member.stack)
    });
    states.collect::<Vec<_>>().join(", ")
}
