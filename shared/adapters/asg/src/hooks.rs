//! The port over one hook on termination.
use crate::words::{COMPLETE, DESCRIBE, HEARTBEAT, is_no_wait};
use adapter_aws::{Aws, Failure};
use async_trait::async_trait;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{Instance, LifecycleState};
use windlass_core::drain::Notice;
use windlass_ports::Fault;
use windlass_ports::fleet::{Answer, By, Hooks};

/// What lets a machine go. On termination `ABANDON` would only skip what other hooks still do.
const CONTINUE: &str = "CONTINUE";

/// The hook of this name, of every group that is asked for. Other hooks of a group are their
/// owners': they hold a machine beside ours.
pub struct AsgHooks {
    client: Client,
    hook: String,
}

impl AsgHooks {
    #[must_use]
    pub fn new(aws: &Aws, hook: &str) -> Self {
        Self { client: Client::new(&aws.config_for("AUTO_SCALING")), hook: hook.to_owned() }
    }
}

#[async_trait]
impl Hooks for AsgHooks {
    /// AWS does not tell which hook holds a machine: one that ours has let go, and another holds,
    /// is named too, and completing it once more finds no wait.
    async fn waiting(&self, group: &str) -> Result<Vec<Notice>, Fault> {
        let request = self.client.describe_auto_scaling_groups().auto_scaling_group_names(group);
        let what = || format!("can't see which machines of {group} wait");
        let answer = request.send().await;
        let answer = answer.map_err(|error| Failure::of(error).fault_of(DESCRIBE, &what()))?;
        let ours = |known: &&aws_sdk_autoscaling::types::AutoScalingGroup| {
            known.auto_scaling_group_name() == Some(group)
        };
        let Some(found) = answer.auto_scaling_groups().iter().find(ours) else {
            return Err(Fault::retryable(format!("there is no Auto Scaling group {group}")));
        };
        let waits = |instance: &&Instance| {
            instance.lifecycle_state() == Some(&LifecycleState::TerminatingWait)
        };
        let waiting = found.instances().iter().filter(waits).filter_map(Instance::instance_id);
        let notice = |id: &str| Notice {
            group: group.to_owned(),
            hook: self.hook.clone(),
            instance: id.into(),
            token: String::new(),
        };
        Ok(waiting.map(notice).collect())
    }

    async fn heartbeat(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let request = self
            .client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(&notice.group)
            .lifecycle_hook_name(&notice.hook)
            .instance_id(notice.instance.as_str())
            .set_lifecycle_action_token(token(notice, by));
        let sent = request.send().await.map(drop).map_err(Failure::of);
        answer(sent, HEARTBEAT, || format!("can't hold {}", notice.instance))
    }

    async fn complete(&self, notice: &Notice, by: By) -> Result<Answer, Fault> {
        let request = self
            .client
            .complete_lifecycle_action()
            .auto_scaling_group_name(&notice.group)
            .lifecycle_hook_name(&notice.hook)
            .instance_id(notice.instance.as_str())
            .set_lifecycle_action_token(token(notice, by))
            .lifecycle_action_result(CONTINUE);
        let sent = request.send().await.map(drop).map_err(Failure::of);
        answer(sent, COMPLETE, || format!("can't let {} go", notice.instance))
    }
}

/// A token is 36 characters; AWS refuses another as malformed, which is no answer to the question.
fn token(notice: &Notice, by: By) -> Option<String> {
    (by == By::Token && !notice.token.is_empty()).then(|| notice.token.clone())
}

fn answer(
    sent: Result<(), Failure>,
    action: &str,
    what: impl FnOnce() -> String,
) -> Result<Answer, Fault> {
    match sent {
        Ok(()) => Ok(Answer::Taken),
        Err(failure) if is_no_wait(&failure) => Ok(Answer::NoActiveAction),
        Err(failure) => Err(failure.fault_of(action, &what())),
    }
}
