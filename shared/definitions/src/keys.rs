//! Every key of the file, once: the reader, the JSON Schema and the reference page all come from
//! this table, so none of them can know a key that another doesn't.
use crate::format::Format;

/// A mapping with known keys.
pub(crate) struct Object {
    /// Unique; the schema's name for it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
    /// Exactly one of these must be there.
    pub(crate) one_of: &'static [&'static str],
}

pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    pub(crate) about: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Need {
    Required,
    /// What holds when the key is absent, in words.
    Default(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text(Format),
    Flag,
    Integer,
    OneOf(&'static [&'static str]),
    List(&'static Kind),
    Object(&'static Object),
}

impl Object {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, need: Need::Required, about }
}

const fn optional(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, need: Need::Default(default), about }
}

const fn text(format: Format) -> Kind {
    Kind::Text(format)
}

const NAMES: Kind = Kind::List(&Kind::Text(Format::Name));
const LABELS: Kind = Kind::List(&Kind::Text(Format::Label));
const GLOBS: Kind = Kind::List(&Kind::Text(Format::Glob));
const COMMANDS: Kind = Kind::List(&Kind::Text(Format::Command));
const VARIABLES: Kind = Kind::List(&Kind::Object(&ENV));
const MOUNTS: Kind = Kind::List(&Kind::Object(&MOUNT));
const DESCRIPTION: Key =
    optional("description", text(Format::Any), "empty", "What it is for, in Markdown.");
const MOUNTED: Key = optional(
    "files",
    MOUNTS,
    "none",
    "Files of the repository that a run sees at another place. A stack's own beat a context's.",
);
const VARIABLE: Key = optional(
    "env",
    VARIABLES,
    "none",
    "Environment variables. Of one name the stack's own wins, then the attached context with the \
     lowest `priority`, then the auto-attached one first in the alphabet.",
);
const HOOK: Key =
    optional("hooks", Kind::Object(&HOOKS), "none", "Shell commands around the phases of a run.");

#[rustfmt::skip]
pub(crate) static FILE: Object = Object {
    name: "file",
    about: "A definition file: `windlass.yaml` at the root of a repository, or a file that its \
            `include` matches.",
    one_of: &[],
    keys: &[
        optional("version", Kind::OneOf(&["1"]), "required in the root file",
            "The version of this format."),
        optional("include", GLOBS, "none",
            "Globs of further definition files, from the root of the repository; `*` stays within \
             one folder, `**` crosses folders. Only files that end in `.yaml` or `.yml` are read. \
             In the root file only."),
        optional("spaces", Kind::List(&Kind::Object(&SPACE)), "none",
            "Who may see and do what: a tree under `root`."),
        optional("worker_pools", Kind::List(&Kind::Object(&POOL)), "none",
            "Groups of workers. The pool `default` always exists."),
        optional("contexts", Kind::List(&Kind::Object(&CONTEXT)), "none",
            "Variables, files and hooks that several stacks of this repository share."),
        optional("stacks", Kind::List(&Kind::Object(&STACK)), "none",
            "Folders of Terraform or OpenTofu code that are planned and applied as one."),
    ],
};

#[rustfmt::skip]
static SPACE: Object = Object {
    name: "space",
    about: "A space: who may see and do what. Its slug derives from the name as a stack's does.",
    one_of: &[],
    keys: &[
        required("name", text(Format::Name), "Unique in the installation; `root` always exists."),
        DESCRIPTION,
        optional("parent", text(Format::Name), "`root`", "The space that this one lies in."),
        optional("repositories", Kind::List(&Kind::Text(Format::Repository)), "none",
            "Other repositories that may declare spaces and stacks in this space and below it."),
        optional("shared_with", Kind::List(&Kind::Text(Format::Repository)), "none",
            "Other repositories whose stacks may depend on stacks of this space and below it, and \
             so read their outputs."),
    ],
};

#[rustfmt::skip]
static POOL: Object = Object {
    name: "worker_pool",
    about: "A group of workers.",
    one_of: &[],
    keys: &[
        required("name", text(Format::Name), "Unique in the installation; `control` is reserved."),
        optional("drift_budget", Kind::Integer, "1",
            "How many drift detection runs may be open in it at a time; what is due beyond that \
             waits its turn, oldest first. 0: none starts."),
        DESCRIPTION,
        optional("space", text(Format::Name), "`root`",
            "Stacks of this space and below it may use the pool."),
    ],
};

#[rustfmt::skip]
static CONTEXT: Object = Object {
    name: "context",
    about: "What several stacks share. A stack takes it by naming it in `contexts`, or the context \
            attaches itself by a label: `autoattach:aws` to every stack with the label `aws`, \
            `autoattach:*` to every stack; both only in the context's space and below it.",
    one_of: &[],
    keys: &[
        required("name", text(Format::Name), "Unique in the repository."),
        DESCRIPTION,
        optional("labels", LABELS, "none", "`autoattach:<label>` attaches the context."),
        optional("priority", Kind::Integer, "0",
            "Among contexts that a stack names, the lowest number wins; at a tie the one named \
             first."),
        optional("space", text(Format::Name), "`root`", "Where it may be attached."),
        VARIABLE,
        MOUNTED,
        HOOK,
    ],
};

#[rustfmt::skip]
static STACK: Object = Object {
    name: "stack",
    about: "A folder of code that is planned and applied as one.",
    one_of: &[],
    keys: &[
        required("name", text(Format::Name),
            "Its slug derives from it: lower case, every run of other characters than `a-z0-9_-` \
             becomes `-`. The slug is the stack's identity and unique in the installation: another \
             slug is another stack."),
        DESCRIPTION,
        optional("space", text(Format::Name), "`root`", "The space that the stack lies in."),
        optional("repository", text(Format::Repository), "this repository",
            "Where its code is."),
        optional("branch", text(Format::Branch), "the repository's default branch",
            "The tracked branch: a push to it deploys, a push to another one previews."),
        optional("project_root", text(Format::Folder), "the folder of this file",
            "The folder that the tool runs in, from the root of the repository. A change below it \
             touches the stack."),
        optional("additional_project_globs", GLOBS, "none",
            "Further files whose change touches the stack, from the root of the repository."),
        optional("labels", LABELS, "none", "Free words, to find stacks and to attach contexts by."),
        optional("contexts", NAMES, "none", "Contexts to attach, by name."),
        optional("tool", Kind::OneOf(&["auto", "terraform", "opentofu"]), "`auto`",
            "`auto` takes `terraform` if it is on the PATH, else `tofu`."),
        optional("version", text(Format::Requirement), "any",
            "The versions of the tool that will do, such as `>= 1.6, < 2` or `~> 1.9.0`; another \
             one fails the run."),
        optional("workspace", text(Format::Workspace), "`default`",
            "The tool's workspace, made if it does not exist."),
        optional("worker_pool", text(Format::Name), "`default`", "The workers that run its jobs."),
        optional("manage_state", Kind::Flag, "true",
            "Windlass keeps the state. Set it to false when the code declares its own backend."),
        optional("autodeploy", Kind::Flag, "false",
            "Apply a plan with changes without asking a person."),
        optional("protect_from_deletion", Kind::Flag, "false",
            "Refuse definitions in which the stack is gone."),
        optional("on_delete", Kind::OneOf(&["keep", "destroy"]), "`keep`",
            "What becomes of its resources when the stack leaves the definitions."),
        optional("timeouts", Kind::Object(&TIMEOUTS), "see there", "When a job is given up."),
        VARIABLE,
        MOUNTED,
        HOOK,
        optional("drift", Kind::Object(&DRIFT), "not looked for",
            "When to look whether the world still is as the code says."),
        optional("depends_on", Kind::List(&Kind::Object(&DEPENDENCY)), "none",
            "Stacks that run before this one."),
    ],
};

#[rustfmt::skip]
static TIMEOUTS: Object = Object {
    name: "timeouts",
    about: "When a job is given up: the tool is interrupted, and killed after a minute of grace.",
    one_of: &[],
    keys: &[
        optional("run", text(Format::Duration), "`70m`", "From the claim to the end of a job."),
        optional("silence", text(Format::Duration), "`7m`", "Without a line of output."),
    ],
};

#[rustfmt::skip]
static ENV: Object = Object {
    name: "env",
    about: "An environment variable, with a value or the name of a secret.",
    one_of: &["value", "secret"],
    keys: &[
        required("name", text(Format::EnvName),
            "The prefix `ro_` limits it to init and plan, `wo_` to apply, destroy and tasks; the \
             tool sees the name without the prefix."),
        optional("value", text(Format::Any), "or `secret`",
            "The text as written: `yes`, `010` and `1.10` stay what they are, in quotes or not."),
        optional("secret", text(Format::SecretName), "or `value`",
            "The name under which `windlass secret set` stored the value."),
    ],
};

#[rustfmt::skip]
static MOUNT: Object = Object {
    name: "file_mount",
    about: "A file of the repository that a run sees at another place.",
    one_of: &[],
    keys: &[
        required("path", text(Format::File), "Where it appears, from the project root."),
        required("source", text(Format::File),
            "Where it comes from, from the root of the repository."),
    ],
};

#[rustfmt::skip]
static HOOKS: Object = Object {
    name: "hooks",
    about: "Shell commands around the phases of a run; all of a phase share one shell with the \
            tool, and the first that fails ends the phase. Before a phase: the contexts' by rising \
            priority, then those of auto-attached ones in reverse alphabetical order, then the \
            stack's own; after it in exactly the opposite order of owners.",
    one_of: &[],
    keys: &[
        optional("before_init", COMMANDS, "none", "Before `init`."),
        optional("after_init", COMMANDS, "none", "After `init`."),
        optional("before_plan", COMMANDS, "none", "Before `plan`."),
        optional("after_plan", COMMANDS, "none", "After `plan`."),
        optional("before_apply", COMMANDS, "none", "Before `apply`."),
        optional("after_apply", COMMANDS, "none", "After `apply`."),
        optional("before_perform", COMMANDS, "none", "Before a task's command."),
        optional("after_perform", COMMANDS, "none", "After a task's command."),
        optional("before_destroy", COMMANDS, "none", "Before a destroy run's plan is applied."),
        optional("after_destroy", COMMANDS, "none", "After it."),
        optional("after_run", COMMANDS, "none",
            "At the end of every run that a worker had, whatever became of it."),
    ],
};

#[rustfmt::skip]
static DRIFT: Object = Object {
    name: "drift",
    about: "When to look whether the world still is as the code says.",
    one_of: &[],
    keys: &[
        required("schedule", Kind::List(&Kind::Text(Format::Cron)),
            "Cron lines of five fields: minute, hour, day of month, month, day of week."),
        optional("timezone", text(Format::TimeZone), "`UTC`",
            "The IANA name of the zone that the schedule is in."),
        optional("reconcile", Kind::Flag, "false", "Apply the code again where the world differs."),
        optional("ignore_state", Kind::Flag, "false",
            "Look even when the stack's last run did not finish."),
    ],
};

#[rustfmt::skip]
static DEPENDENCY: Object = Object {
    name: "dependency",
    about: "A stack that runs before this one. Without references this one always follows; with \
            them it follows when one of the outputs changed.",
    one_of: &[],
    keys: &[
        required("stack", text(Format::Name), "Its name or slug, in whichever repository."),
        optional("references", Kind::List(&Kind::Object(&REFERENCE)), "none",
            "Outputs that become variables of this stack."),
    ],
};

#[rustfmt::skip]
static REFERENCE: Object = Object {
    name: "reference",
    about: "An output of one stack that becomes a variable of another.",
    one_of: &[],
    keys: &[
        required("output", text(Format::Output), "The name of the other stack's output."),
        required("input", text(Format::EnvName), "The variable here, usually `TF_VAR_…`."),
        optional("trigger_always", Kind::Flag, "false", "Follow even when the output stayed."),
    ],
};

/// Every mapping of the format, each once, in the order of first use.
pub(crate) fn objects() -> Vec<&'static Object> {
    let mut found: Vec<&'static Object> = vec![&FILE];
    let mut next = 0;
    while let Some(object) = found.get(next).copied() {
        for key in object.keys {
            if let Some(inner) = inner(key.kind)
                && !found.iter().any(|known| known.name == inner.name)
            {
                found.push(inner);
            }
        }
        next += 1;
    }
    found
}

fn inner(kind: Kind) -> Option<&'static Object> {
    match kind {
        Kind::Object(object) => Some(object),
        Kind::List(item) => inner(*item),
        _ => None,
    }
}
