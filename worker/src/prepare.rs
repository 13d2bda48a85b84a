//! Everything a job needs before its first step: code, secrets, inputs, tool, state.
//!
//! A store that is away is waited for. Whatever else goes wrong here is the stack's or the
//! repository's doing as a rule, so it fails the run with a sentence that says what to do.
use crate::agent::Shared;
use crate::archive::{self, Mark};
use crate::backoff::until_known;
use crate::environment::{self, Access, Env};
use crate::fetch;
use crate::mask::Masks;
use crate::outputs::{self, Filled, Values};
use crate::script::tool::PLAN_FILE;
use crate::state::Kept;
use crate::tool::{self, Found};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;
use windlass_core::changes::Resource;
use windlass_core::definition::EnvValue;
use windlass_core::id::Digest;
use windlass_core::job::{JobSpec, Phase, PlanRef, Step};
use windlass_ports::Fault;

/// A job that can start.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub root: PathBuf,
    pub tool: Found,
    /// The state, if Windlass keeps it.
    pub state: Option<Kept>,
    pub since: Mark,
    /// What the plan expected in the state; for an apply.
    pub planned: Vec<Resource>,
    read: Env,
    write: Env,
    workspace_root: String,
}

impl Prepared {
    /// The variables of a step, beside what every process of the worker gets.
    #[must_use]
    pub(crate) fn env(&self, shared: &Shared, spec: &JobSpec, step: Step) -> Vec<(String, String)> {
        let state = step.as_str().to_uppercase();
        let mut env = environment::info(spec, &shared.config.account, &self.workspace_root, &state);
        env.extend(match Access::of(step) {
            Access::Read => self.read.clone(),
            Access::Write => self.write.clone(),
        });
        env.into_iter().collect()
    }

    /// For people: what this job works with.
    #[must_use]
    pub(crate) fn note(&self, shared: &Shared, spec: &JobSpec) -> String {
        let root = if spec.project_root.is_empty() { "." } else { &spec.project_root };
        let state =
            if self.state.is_some() { "kept by Windlass" } else { "in the code's own backend" };
        let names = |env: &Env| env.keys().cloned().collect::<BTreeSet<_>>();
        let names: Vec<String> = names(&self.read).union(&names(&self.write)).cloned().collect();
        let mut note = format!(
            "Worker {} took {} of {}.\nCommit {} of {} ({}), project root {root}.\n{}, state {state}.\n",
            shared.config.worker,
            spec.id.phase.as_str(),
            spec.stack,
            spec.commit.short(),
            spec.repository,
            spec.branch,
            self.tool,
        );
        if !names.is_empty() {
            note.push_str(&format!("Variables: {}.\n", names.join(", ")));
        }
        for input in &spec.inputs {
            note.push_str(&format!("Input {}.{} => {}\n", input.from, input.output, input.name));
        }
        note
    }
}

type Fetched = JoinHandle<Result<(), Fault>>;

/// Prepares a job in its folder; the error is the reason of its failure. `masks` learns every
/// secret, also when something else goes wrong.
pub(crate) async fn prepare(
    shared: &Shared,
    spec: &JobSpec,
    run: &Path,
    fetched: Fetched,
    masks: &mut Masks,
) -> Result<Prepared, String> {
    let (code, secrets, values, plan) = tokio::join!(
        code(spec, fetched),
        secrets(shared, spec),
        inputs(shared, spec),
        plan_archive(shared, spec),
    );
    let secrets = secrets?;
    masks.add(secrets.values().map(String::as_str));
    masks.add(environment::secrets_of(&shared.base));
    let inputs = outputs::fill(&spec.inputs, &values?)?;
    masks.add(inputs.iter().flat_map(|input| &input.secrets).map(String::as_str));
    let [read, write] = [Access::Read, Access::Write].map(|access| {
        let mut env = environment::resolve(&spec.env, access, &shared.base, &secrets);
        add_inputs(&mut env, &inputs);
        env
    });
    code?;
    let since = archive::mark(run).map_err(|e| told("the run's folder can't be written", &e))?;
    let tree = run.join("tree");
    let planned = match plan? {
        Some((bytes, plan)) => unpacked(bytes, plan, spec, run.to_owned()).await?,
        None => Vec::new(),
    };
    let root = fetch::project_root(&tree, &spec.project_root).map_err(|e| chain(&e))?;
    fetch::mount(&tree, &root, &spec.files).map_err(|e| chain(&e))?;
    let state = state(shared, spec, &root)?;
    let tool = find(shared, spec, &read).await?;
    if state.is_some() {
        shared.config.state.check(&tool).map_err(|e| chain(&e))?;
    }
    let workspace_root = tree.display().to_string();
    Ok(Prepared { root, tool, state, since, planned, read, write, workspace_root })
}

async fn code(spec: &JobSpec, fetched: Fetched) -> Result<(), String> {
    let fetched = fetched.await.unwrap_or_else(|e| Err(Fault::retryable_from("it was cut off", e)));
    fetched.map_err(|fault| {
        let (sha, repo) = (spec.commit.short(), &spec.repository);
        format!("commit {sha} of {repo} can't be checked out: {}", fault.chain())
    })
}

async fn secrets(shared: &Shared, spec: &JobSpec) -> Result<BTreeMap<String, String>, String> {
    let names: BTreeSet<&String> = spec
        .env
        .iter()
        .filter_map(|var| match &var.value {
            EnvValue::Secret(name) => Some(name),
            EnvValue::Value(_) => None,
        })
        .collect();
    let mut found = BTreeMap::new();
    for name in names {
        match until_known(|| shared.deps.secrets.get(name)).await {
            Ok(Some(value)) => {
                found.insert(name.clone(), value);
            }
            Ok(None) => {
                return Err(format!("secret {name} is not set; windlass secret set {name}"));
            }
            Err(fault) => return Err(format!("secret {name} can't be read: {}", fault.chain())),
        }
    }
    Ok(found)
}

async fn inputs(shared: &Shared, spec: &JobSpec) -> Result<BTreeMap<String, Values>, String> {
    let keys: BTreeSet<&String> = spec.inputs.iter().map(|input| &input.outputs_key).collect();
    let mut found = BTreeMap::new();
    for key in keys.into_iter().filter(|key| !key.is_empty()) {
        let blob = until_known(|| shared.deps.blobs.get(key)).await;
        let blob = blob.map_err(|f| format!("the inputs can't be read: {}", f.chain()))?;
        if let Some(json) = blob {
            let values = outputs::parse(&json).map_err(|e| chain(&e))?;
            found.insert(key.clone(), values);
        }
    }
    Ok(found)
}

fn add_inputs(env: &mut Env, inputs: &[Filled]) {
    let exportable = inputs.iter().filter(|input| crate::script::exportable(&input.name));
    env.extend(exportable.map(|input| (input.name.clone(), input.value.clone())));
}

type Archive = Option<(Vec<u8>, PlanRef)>;

async fn plan_archive(shared: &Shared, spec: &JobSpec) -> Result<Archive, String> {
    if spec.id.phase != Phase::Apply {
        return Ok(None);
    }
    let plan = spec.plan.clone().ok_or("the job names no plan to apply")?;
    match until_known(|| shared.deps.blobs.get(&plan.key)).await {
        Ok(Some(bytes)) => Ok(Some((bytes, plan))),
        Ok(None) => Err("the plan to apply is gone; run the stack again".to_owned()),
        Err(fault) => Err(format!("the plan to apply can't be read: {}", fault.chain())),
    }
}

/// The plan's work tree, if the plan in it is the one that was shown.
async fn unpacked(
    bytes: Vec<u8>,
    plan: PlanRef,
    spec: &JobSpec,
    run: PathBuf,
) -> Result<Vec<Resource>, String> {
    let project_root = spec.project_root.clone();
    let unpack = move || {
        let resources = archive::unpack(&bytes, &run, archive::LIMITS)
            .map_err(|e| format!("the plan's archive can't be unpacked: {e}"))?;
        let root = fetch::project_root(&run.join("tree"), &project_root).map_err(|e| chain(&e))?;
        let file = std::fs::read(root.join(PLAN_FILE))
            .map_err(|e| told("the archive holds no plan", &e))?;
        let found = Digest::of(&file);
        if found == plan.digest {
            return Ok(resources);
        }
        let (shown, found) = (plan.digest.short(), found.short());
        Err(format!("the plan changed since it was shown: its digest was {shown}, it is {found}"))
    };
    tokio::task::spawn_blocking(unpack).await.unwrap_or_else(|e| Err(e.to_string()))
}

/// Takes over the state, unless the code has a backend of its own.
fn state(shared: &Shared, spec: &JobSpec, root: &Path) -> Result<Option<Kept>, String> {
    if !spec.manage_state || fetch::declares_backend(root).map_err(|e| chain(&e))? {
        return Ok(None);
    }
    let home = &shared.config.state;
    home.install(&spec.stack, root).map_err(|e| chain(&e))?;
    Ok(Some(home.kept(&spec.stack, &spec.workspace)))
}

async fn find(shared: &Shared, spec: &JobSpec, env: &Env) -> Result<Found, String> {
    let path = env.get("PATH").or_else(|| shared.base.get("PATH"));
    let path = path.map(OsString::from).unwrap_or_default();
    let program = tool::find(spec.tool, &path).map_err(|e| chain(&e))?;
    let (versions, base) = (shared.versions.clone(), shared.base.clone());
    let asked = tokio::task::spawn_blocking(move || versions.of(&program, &base)).await;
    let found = asked.map_err(|e| e.to_string())?.map_err(|e| chain(&e))?;
    tool::check(&found, spec.version.as_deref()).map_err(|e| chain(&e))?;
    Ok(found)
}

fn told(what: &str, error: &io::Error) -> String {
    format!("{what}: {error}")
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
