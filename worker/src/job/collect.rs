//! What the work left in its folder, and what of it is kept: the plan, the outputs, the resources.
use super::Job;
use crate::archive;
use crate::outputs;
use crate::phases::{OUTPUTS_FILE, SHOW_FILE};
use crate::plan;
use crate::prepare::Prepared;
use crate::script::tool::PLAN_FILE;
use crate::state::Kept;
use std::fs;
use std::io;
use std::path::Path;
use windlass_core::changes::Resource;
use windlass_core::drift::Drifted;
use windlass_core::job::{Phase, PlanRef, Verdict};
use windlass_core::keys;
use windlass_core::run::RunType;

impl Job<'_> {
    /// Reads what the work left: the plan, the outputs.
    pub(super) async fn collect(&mut self, prepared: &Prepared) -> Result<(), String> {
        match self.spec.id.phase {
            Phase::Plan | Phase::Destroy => self.collect_plan(prepared).await,
            Phase::Apply => self.collect_outputs(),
            Phase::Task => Ok(()),
        }
    }

    async fn collect_plan(&mut self, prepared: &Prepared) -> Result<(), String> {
        let (file, masks) = (self.run.join(SHOW_FILE), self.masks.clone());
        let json = written(&file, "the plan as JSON", "terraform show")?;
        let read = move || plan::read(&json, &masks);
        let read = tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?;
        let read = read.map_err(|e| e.to_string())?;
        self.result.delta = Some(read.delta);
        self.result.changes = read.changed;
        if self.spec.run_type == RunType::Proposed {
            self.result.drifted = Some(Drifted::of(&read.changes));
        }
        let changes_key = keys::plan_changes(&self.spec.id);
        let changes = serde_json::to_vec(&read.changes).map_err(|e| e.to_string())?;
        self.artifacts.send(changes_key.clone(), changes);
        self.result.changes_key = Some(changes_key);
        if self.applicable() {
            if !read.changed && self.spec.targets.is_empty() {
                self.found_unchanged(&read)?;
            }
            self.hand_over(prepared, read.resources).await?;
        }
        Ok(())
    }

    /// An empty plan tells what is there. Where an apply did its work but its worker was lost, it
    /// is the first to tell.
    fn found_unchanged(&mut self, read: &plan::Read) -> Result<(), String> {
        self.publish(&read.outputs)?;
        let list = serde_json::to_vec(&read.resources).map_err(|e| e.to_string())?;
        let key = keys::resource_list(&self.spec.id);
        self.artifacts.send(key.clone(), list);
        self.result.resources_key = Some(key);
        Ok(())
    }

    /// Another job may apply this plan, an empty one too if a person asked for that.
    pub(super) fn applicable(&self) -> bool {
        self.spec.id.phase == Phase::Plan && self.spec.run_type == RunType::Tracked
    }

    async fn hand_over(
        &mut self,
        prepared: &Prepared,
        planned: Vec<Resource>,
    ) -> Result<(), String> {
        let (run, since) = (self.run.to_owned(), prepared.since);
        let plan_file = prepared.root.join(PLAN_FILE);
        let pack = move || archive::pack(&run, since, &plan_file, &planned, archive::LIMITS);
        let packed = tokio::task::spawn_blocking(pack).await.map_err(|e| e.to_string())?;
        let (bytes, digest) = packed.map_err(|e| format!("an apply can't have this plan: {e}"))?;
        let key = keys::plan_archive(&self.spec.id);
        self.artifacts.send(key.clone(), bytes);
        self.result.plan = Some(PlanRef { key, digest });
        Ok(())
    }

    fn collect_outputs(&mut self) -> Result<(), String> {
        let file = self.run.join(OUTPUTS_FILE);
        let json = written(&file, "what the apply put out", "terraform output")?;
        let values = outputs::parse(&json).map_err(|e| e.to_string())?;
        self.publish(&values)
    }

    fn publish(&mut self, values: &outputs::Values) -> Result<(), String> {
        let key = keys::output_values(&self.spec.stack, &self.spec.id);
        let blob = serde_json::to_vec(values).map_err(|e| e.to_string())?;
        self.artifacts.send(key.clone(), blob);
        self.result.outputs = Some(outputs::published(key, values));
        Ok(())
    }

    /// What is in the state now: from the state if we keep it, else as the plan expected it.
    pub(super) async fn resources(&mut self, prepared: &Prepared) {
        let ended_well = self.result.verdict == Verdict::Ok;
        let of = |json: Option<Vec<u8>>| {
            outputs::state(&json.unwrap_or_default()).ok().map(|held| held.resources)
        };
        let held = match &prepared.state {
            _ if self.spec.id.phase == Phase::Plan => None,
            Some(Kept::File(file)) => present(file).ok().and_then(of),
            Some(Kept::Object(key)) => self.shared.deps.blobs.get(key).await.ok().and_then(of),
            None if ended_well && self.spec.id.phase == Phase::Apply => {
                Some(prepared.planned.clone())
            }
            None => None,
        };
        let Some(list) = held.and_then(|held| serde_json::to_vec(&held).ok()) else { return };
        let key = keys::resource_list(&self.spec.id);
        self.artifacts.send(key.clone(), list);
        self.result.resources_key = Some(key);
    }
}

/// A document that a step which ended well must have left. One that is not there, or not to its
/// end, says nothing: least of all that nothing would change.
fn written(file: &Path, what: &str, by: &str) -> Result<Vec<u8>, String> {
    let how = match present(file)? {
        Some(bytes) if bytes.trim_ascii_end().ends_with(b"}") => return Ok(bytes),
        Some(_) => "is cut off",
        None => "is missing",
    };
    Err(format!(
        "{what} {how}, though `{by}` ended well: no hook may touch {}, and the worker's disk must \
         have room; then run it again",
        file.display()
    ))
}

fn present(file: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} can't be read: {error}", file.display())),
    }
}
