//! The `Forge` port: commit statuses.
use crate::Github;
use crate::client::Ask;
use crate::wire::NewStatus;
use async_trait::async_trait;
use reqwest::Method;
use windlass_ports::{CommitStatus, Fault, Forge, StatusState};

const DESCRIPTION_CHARS_MAX: usize = 140;

#[async_trait]
impl Forge for Github {
    async fn set_status(&self, status: &CommitStatus) -> Result<(), Fault> {
        let place = self.place(&status.repo)?;
        let new = NewStatus {
            state: match status.state {
                StatusState::Pending => "pending",
                StatusState::Success => "success",
                StatusState::Failure => "failure",
                StatusState::Error => "error",
            },
            description: &cut(&status.description),
            context: &status.context,
            target_url: status.target_url.as_deref(),
        };
        let body = serde_json::to_vec(&new)
            .map_err(|error| Fault::poison_from("a status does not serialise", error))?;
        let path = format!("/statuses/{}", crate::client::segment(&status.sha.0));
        let ask = Ask { method: Method::POST, body: Some(body), ..Ask::get(place, path) };
        let told = self.client.ask(&ask).await?;
        match told.status.as_u16() {
            201 => Ok(()),
            _ => Err(told.refusal("set the status of a commit", place)),
        }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(DESCRIPTION_CHARS_MAX - 1).collect();
    format!("{}…", kept.trim_end())
}
