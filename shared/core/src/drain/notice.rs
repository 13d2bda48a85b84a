//! What a lifecycle hook says, in both of its forms: straight to a queue, or by way of EventBridge.
use crate::id::InstanceId;
use serde::{Deserialize, Serialize};

/// A hook that waits for a machine to be let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub group: String,
    pub hook: String,
    pub instance: InstanceId,
    /// Names this wait; a completion without it goes by the machine.
    pub token: String,
}

/// What a message of the hook's queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Terminating(Notice),
    /// AWS tries out the queue when a hook is made.
    Test,
    /// Of another group, or another transition: not ours, and nothing to do.
    Other {
        what: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no message of a lifecycle hook: {0}")]
pub struct Malformed(String);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Words {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    lifecycle_transition: Option<String>,
    #[serde(default)]
    auto_scaling_group_name: Option<String>,
    #[serde(default)]
    lifecycle_hook_name: Option<String>,
    #[serde(default, rename = "EC2InstanceId")]
    instance: Option<String>,
    #[serde(default)]
    lifecycle_action_token: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    detail: Words,
}

/// Reads one message's body. `groups` are ours.
///
/// # Errors
/// When it is neither form, or says less than it must.
pub fn read(body: &[u8], groups: &[&str]) -> Result<Message, Malformed> {
    let words = match serde_json::from_slice::<Envelope>(body) {
        Ok(envelope) => envelope.detail,
        Err(_) => serde_json::from_slice(body).map_err(|error| Malformed(error.to_string()))?,
    };
    if words.event.as_deref() == Some("autoscaling:TEST_NOTIFICATION") {
        return Ok(Message::Test);
    }
    let missing = |what: &str| Malformed(format!("{what} is missing"));
    let transition = words.lifecycle_transition.ok_or_else(|| missing("LifecycleTransition"))?;
    if transition != "autoscaling:EC2_INSTANCE_TERMINATING" {
        return Ok(Message::Other { what: transition });
    }
    let group = words.auto_scaling_group_name.ok_or_else(|| missing("AutoScalingGroupName"))?;
    if !groups.contains(&group.as_str()) {
        return Ok(Message::Other { what: format!("the group {group}") });
    }
    Ok(Message::Terminating(Notice {
        group,
        hook: words.lifecycle_hook_name.ok_or_else(|| missing("LifecycleHookName"))?,
        instance: words.instance.ok_or_else(|| missing("EC2InstanceId"))?.into(),
        token: words.lifecycle_action_token.ok_or_else(|| missing("LifecycleActionToken"))?,
    }))
}
