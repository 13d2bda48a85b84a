//! Checked trees to what the files declare, names still unresolved, places kept.
use crate::format;
use crate::include;
use crate::model::SourceFile;
use crate::problem::{At, Faults, Text, quote};
use crate::shape::{Fields, check_file};
use crate::yaml;
use std::collections::BTreeMap;
use windlass_core::definition::{
    EnvValue, EnvVar, FileMount, Hooks, OnDelete, Reference, Timeouts, Tool,
};

/// Everything that all files together declare.
#[derive(Default)]
pub(crate) struct Declared {
    pub(crate) spaces: Vec<Space>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) contexts: Vec<Context>,
    pub(crate) stacks: Vec<Stack>,
}

/// More open drift runs than this are no budget.
const DRIFT_BUDGET_MAX: u32 = 1_000;

pub(crate) struct Space {
    pub(crate) name: Text,
    pub(crate) description: String,
    pub(crate) parent: Option<Text>,
    pub(crate) repositories: Vec<Text>,
    pub(crate) shared_with: Vec<Text>,
}

pub(crate) struct Pool {
    pub(crate) name: Text,
    pub(crate) description: String,
    pub(crate) space: Option<Text>,
    pub(crate) drift_budget: Option<u32>,
}

pub(crate) struct Context {
    pub(crate) name: Text,
    pub(crate) description: String,
    pub(crate) labels: Vec<Text>,
    pub(crate) priority: i64,
    pub(crate) space: Option<Text>,
    pub(crate) carried: Carried,
}

/// What a stack and a context may both bring.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) env: Vec<EnvVar>,
    pub(crate) files: Vec<FileMount>,
    pub(crate) hooks: Hooks,
    /// Names of secrets in `env`, to be looked up.
    pub(crate) secrets: Vec<Text>,
}

pub(crate) struct Stack {
    pub(crate) name: Text,
    pub(crate) description: String,
    pub(crate) space: Option<Text>,
    pub(crate) repository: Option<Text>,
    pub(crate) branch: Option<String>,
    pub(crate) project_root: Option<String>,
    pub(crate) additional_project_globs: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) contexts: Vec<Text>,
    pub(crate) tool: Tool,
    pub(crate) version: Option<String>,
    pub(crate) workspace: Option<String>,
    pub(crate) worker_pool: Option<Text>,
    pub(crate) manage_state: bool,
    pub(crate) autodeploy: bool,
    pub(crate) protect_from_deletion: bool,
    pub(crate) on_delete: OnDelete,
    pub(crate) timeouts: Timeouts,
    pub(crate) carried: Carried,
    pub(crate) drift: Option<windlass_core::definition::Drift>,
    pub(crate) depends_on: Vec<Dependency>,
    /// The folder of the file that declares it.
    pub(crate) folder: String,
}

pub(crate) struct Dependency {
    pub(crate) stack: Text,
    pub(crate) references: Vec<Reference>,
}

/// All files; the first is the root file.
pub(crate) fn files(files: &[&SourceFile], faults: &mut Faults<'_>) -> Declared {
    let mut declared = Declared::default();
    for (file, index) in files.iter().zip(0_u32..) {
        let before = faults.count();
        let Some(node) = yaml::parse(index, &file.text, faults) else {
            faults.incomplete |= faults.count() > before;
            if index == 0 && faults.count() == before {
                let at = At { file: 0, ..At::default() };
                let help = "it starts with `version: 1`; `windlass schema` describes the rest";
                faults.add(at, "the file is empty".to_owned(), Some(help.to_owned()));
            }
            continue;
        };
        if matches!(node.content, yaml::Content::Null) && index > 0 {
            continue;
        }
        if !matches!(node.content, yaml::Content::Map(_)) {
            check_file(&node, faults);
            faults.incomplete = true;
            continue;
        }
        let fields = Fields::file(&node);
        header(&fields, index == 0, faults);
        check_file(&node, faults);
        declared.add(&fields, folder_of(&file.path), faults);
    }
    declared
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The keys that depend on whether this is the root file.
fn header(fields: &Fields<'_>, is_root: bool, faults: &mut Faults<'_>) {
    let include = fields.key_at("include");
    match (is_root, include) {
        (false, Some(at)) => {
            let message = "only the root file may include others".to_owned();
            faults.add(at, message, None);
        }
        (true, Some(_)) => include::check(&fields.texts("include"), faults),
        _ => {}
    }
    if is_root && fields.key_at("version").is_none() {
        let help = "start the file with `version: 1`";
        faults.add(fields.at(), "missing key `version`".to_owned(), Some(help.to_owned()));
    }
}

impl Declared {
    fn add(&mut self, fields: &Fields<'_>, folder: &str, faults: &mut Faults<'_>) {
        self.spaces.extend(fields.objects("spaces").filter_map(|space| {
            Some(Space {
                name: space.text("name")?,
                description: plain(&space, "description").unwrap_or_default(),
                parent: space.text("parent"),
                repositories: space.texts("repositories"),
                shared_with: space.texts("shared_with"),
            })
        }));
        self.pools.extend(fields.objects("worker_pools").filter_map(|pool| {
            Some(Pool {
                name: pool.text("name")?,
                description: plain(&pool, "description").unwrap_or_default(),
                space: pool.text("space"),
                drift_budget: drift_budget(&pool, faults),
            })
        }));
        for context in fields.objects("contexts") {
            let carried = carried(&context, faults);
            let Some(name) = context.text("name") else { continue };
            self.contexts.push(Context {
                name,
                description: plain(&context, "description").unwrap_or_default(),
                labels: context.texts("labels"),
                priority: context.integer("priority").unwrap_or_default(),
                space: context.text("space"),
                carried,
            });
        }
        for stack in fields.objects("stacks") {
            let read = read_stack(&stack, folder, faults);
            self.stacks.extend(read);
        }
    }
}

fn plain(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.text(name).map(|text| text.text)
}

fn strings(fields: &Fields<'_>, name: &str) -> Vec<String> {
    fields.texts(name).into_iter().map(|text| text.text).collect()
}

fn read_stack(fields: &Fields<'_>, folder: &str, faults: &mut Faults<'_>) -> Option<Stack> {
    let carried = carried(fields, faults);
    let depends_on = dependencies(fields, faults);
    let drift = drift(fields, faults);
    Some(Stack {
        name: fields.text("name")?,
        description: plain(fields, "description").unwrap_or_default(),
        space: fields.text("space"),
        repository: fields.text("repository"),
        branch: plain(fields, "branch"),
        project_root: plain(fields, "project_root")
            .map(|path| format::folder(&path).unwrap_or_default()),
        additional_project_globs: fields
            .texts("additional_project_globs")
            .into_iter()
            .map(|glob| glob.text.strip_prefix("./").unwrap_or(&glob.text).to_owned())
            .collect(),
        labels: strings(fields, "labels"),
        contexts: fields.texts("contexts"),
        tool: match plain(fields, "tool").as_deref() {
            Some("terraform") => Tool::Terraform,
            Some("opentofu") => Tool::Opentofu,
            _ => Tool::Auto,
        },
        version: plain(fields, "version"),
        workspace: plain(fields, "workspace"),
        worker_pool: fields.text("worker_pool"),
        manage_state: fields.flag("manage_state").unwrap_or(true),
        autodeploy: fields.flag("autodeploy").unwrap_or(false),
        protect_from_deletion: fields.flag("protect_from_deletion").unwrap_or(false),
        on_delete: match plain(fields, "on_delete").as_deref() {
            Some("destroy") => OnDelete::Destroy,
            _ => OnDelete::Keep,
        },
        timeouts: timeouts(fields),
        carried,
        drift,
        depends_on,
        folder: folder.to_owned(),
    })
}

fn timeouts(fields: &Fields<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Some(given) = fields.object("timeouts") {
        let ms = |key| plain(&given, key).and_then(|text| format::duration_ms(&text).ok());
        timeouts.run_ms = ms("run").unwrap_or(timeouts.run_ms);
        timeouts.silence_ms = ms("silence").unwrap_or(timeouts.silence_ms);
    }
    timeouts
}

fn carried(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Carried {
    let mut carried = Carried { hooks: hooks(fields), ..Carried::default() };
    let mut names = BTreeMap::new();
    for variable in fields.objects("env") {
        let Some(name) = variable.text("name") else { continue };
        once("variable", &name, &mut names, faults);
        let value = match (variable.text("value"), variable.text("secret")) {
            (_, Some(secret)) => {
                carried.secrets.push(secret.clone());
                EnvValue::Secret(secret.text)
            }
            (Some(value), None) => EnvValue::Value(value.text),
            (None, None) => continue,
        };
        carried.env.push(EnvVar { name: name.text, value });
    }
    let mut paths = BTreeMap::new();
    for mount in fields.objects("files") {
        let (Some(path), Some(source)) = (mount.text("path"), mount.text("source")) else {
            continue;
        };
        let (Ok(normal), Ok(source)) = (format::file(&path.text), format::file(&source.text))
        else {
            continue;
        };
        once("file", &Text { text: normal.clone(), at: path.at }, &mut paths, faults);
        carried.files.push(FileMount { path: normal, source });
    }
    carried
}

/// Says so when a name comes a second time in one list.
fn once(what: &str, name: &Text, seen: &mut BTreeMap<String, u32>, faults: &mut Faults<'_>) {
    if let Some(line) = seen.insert(name.text.clone(), name.at.line) {
        let message = format!("duplicate {what} {}: first on line {line}", quote(&name.text));
        faults.add(name.at, message, None);
    }
}

fn hooks(fields: &Fields<'_>) -> Hooks {
    let Some(given) = fields.object("hooks") else { return Hooks::default() };
    let list = |key| strings(&given, key);
    Hooks {
        before_init: list("before_init"),
        after_init: list("after_init"),
        before_plan: list("before_plan"),
        after_plan: list("after_plan"),
        before_apply: list("before_apply"),
        after_apply: list("after_apply"),
        before_perform: list("before_perform"),
        after_perform: list("after_perform"),
        before_destroy: list("before_destroy"),
        after_destroy: list("after_destroy"),
        after_run: list("after_run"),
    }
}

fn drift_budget(pool: &Fields<'_>, faults: &mut Faults<'_>) -> Option<u32> {
    let given = pool.integer("drift_budget")?;
    let budget = u32::try_from(given).ok().filter(|budget| *budget <= DRIFT_BUDGET_MAX);
    if let (None, Some(at)) = (budget, pool.key_at("drift_budget")) {
        let message = format!("`drift_budget` is within 0-{DRIFT_BUDGET_MAX}, not {given}");
        faults.add(at, message, None);
    }
    budget
}

fn drift(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Option<windlass_core::definition::Drift> {
    let given = fields.object("drift")?;
    let schedule = strings(&given, "schedule");
    if let (true, Some(at)) = (schedule.is_empty(), given.key_at("schedule")) {
        faults.add(at, "`schedule` needs at least one cron line".to_owned(), None);
    }
    Some(windlass_core::definition::Drift {
        schedule,
        timezone: plain(&given, "timezone").unwrap_or_else(|| "UTC".to_owned()),
        reconcile: given.flag("reconcile").unwrap_or(false),
        ignore_state: given.flag("ignore_state").unwrap_or(false),
    })
}

fn dependencies(fields: &Fields<'_>, faults: &mut Faults<'_>) -> Vec<Dependency> {
    let mut inputs = BTreeMap::new();
    let mut found = Vec::new();
    for edge in fields.objects("depends_on") {
        let mut references = Vec::new();
        for reference in edge.objects("references") {
            let (Some(output), Some(input)) = (reference.text("output"), reference.text("input"))
            else {
                continue;
            };
            once("input", &input, &mut inputs, faults);
            references.push(Reference {
                output: output.text,
                input: input.text,
                trigger_always: reference.flag("trigger_always").unwrap_or(false),
            });
        }
        if let Some(stack) = edge.text("stack") {
            found.push(Dependency { stack, references });
        }
    }
    found
}
