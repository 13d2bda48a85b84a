//! What came of the demo: for `--json`, and for the three numbers at the end.
use api::v1::{RunDetail, RunView};
use serde::Serialize;
use std::path::PathBuf;

/// `windlass demo --json`: one document on stdout.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Oldest first.
    pub(crate) runs: Vec<RunLine>,
    pub(crate) steps: Vec<StepLine>,
    pub(crate) seconds: f64,
    pub(crate) data: PathBuf,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunLine {
    pub(crate) id: String,
    pub(crate) stack: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    pub(crate) add: Option<u32>,
    pub(crate) change: Option<u32>,
    pub(crate) delete: Option<u32>,
    pub(crate) commit: String,
    pub(crate) triggered_by: Option<String>,
    /// What there is to say about its state, else why it exists.
    pub(crate) reason: String,
}

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StepLine {
    pub(crate) name: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
    pub(crate) ok: bool,
}

impl From<&RunView> for RunLine {
    fn from(run: &RunView) -> Self {
        Self {
            id: run.id.clone(),
            stack: run.stack.clone(),
            kind: run.kind.as_str(),
            state: run.state.as_str(),
            add: run.delta.map(|delta| delta.add),
            change: run.delta.map(|delta| delta.change),
            delete: run.delta.map(|delta| delta.delete),
            commit: run.commit.sha.clone(),
            triggered_by: run.triggered_by.clone(),
            reason: run.note.clone().unwrap_or_else(|| run.because.clone()),
        }
    }
}

/// The end of the story in three numbers.
pub(crate) fn numbers(runs: &[RunDetail], seconds: f64) -> String {
    let tool_ms: u64 = runs.iter().map(|run| run.tool_ms).sum();
    let tool = runs.iter().find_map(|run| {
        let version = run.tool_version.as_deref()?;
        (!version.starts_with("Windlass")).then_some(version)
    });
    let tool = tool.and_then(|version| version.split_whitespace().next()).unwrap_or("the tool");
    let tool_s = tool_ms as f64 / 1_000.0;
    format!("{} runs in {seconds:.1} s, of which {tool} worked {tool_s:.1} s", runs.len())
}
