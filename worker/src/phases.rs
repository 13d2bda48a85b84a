//! The steps of each kind of job, in order, as parts of one shell each.
use crate::script::{Part, tool};
use windlass_core::definition::Hooks;
use windlass_core::job::{JobSpec, Phase, Step};

/// Files that a step leaves in the run's folder.
pub(crate) const SHOW_FILE: &str = "show.json";
pub(crate) const OUTPUTS_FILE: &str = "outputs.json";

/// What a step is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepParts {
    pub name: &'static str,
    pub step: Step,
    pub parts: Vec<Part>,
}

/// The two steps of a job: the tool made ready, and the work itself. `lock`: whether a plan locks
/// the state. `file` makes the path of one of the files above.
#[must_use]
pub(crate) fn steps(
    spec: &JobSpec,
    tool_path: &str,
    lock: bool,
    file: impl Fn(&str) -> String,
) -> [StepParts; 2] {
    let Hooks { before_init, after_init, .. } = &spec.hooks;
    let applies = spec.id.phase == Phase::Apply;
    let mut init = Part::hooks("before_init", before_init);
    init.push(tool::init(tool_path, applies));
    init.extend(tool::workspace(tool_path, &spec.workspace));
    init.extend(Part::hooks("after_init", after_init));
    let init = StepParts { name: "init", step: Step::Initializing, parts: init };
    [init, work(spec, tool_path, lock, file)]
}

fn work(spec: &JobSpec, tool_path: &str, lock: bool, file: impl Fn(&str) -> String) -> StepParts {
    let hooks = &spec.hooks;
    let plan = |destroy| tool::plan(tool_path, destroy, lock, &spec.targets);
    let show = || tool::show(tool_path, &file(SHOW_FILE));
    match spec.id.phase {
        Phase::Plan => {
            let mut parts = Part::hooks("before_plan", &hooks.before_plan);
            parts.extend([plan(false), show()]);
            parts.extend(Part::hooks("after_plan", &hooks.after_plan));
            StepParts { name: "plan", step: Step::Planning, parts }
        }
        Phase::Apply => {
            let mut parts = Part::hooks("before_apply", &hooks.before_apply);
            parts.push(tool::apply(tool_path));
            parts.push(tool::outputs(tool_path, &file(OUTPUTS_FILE)));
            parts.extend(Part::hooks("after_apply", &hooks.after_apply));
            StepParts { name: "apply", step: Step::Applying, parts }
        }
        Phase::Destroy => {
            let mut parts = Part::hooks("before_destroy", &hooks.before_destroy);
            parts.extend([plan(true), show(), tool::apply(tool_path)]);
            parts.extend(Part::hooks("after_destroy", &hooks.after_destroy));
            StepParts { name: "destroy", step: Step::Destroying, parts }
        }
        Phase::Task => {
            let mut parts = Part::hooks("before_perform", &hooks.before_perform);
            parts.push(tool::task(spec.command.as_deref().unwrap_or("true")));
            parts.extend(Part::hooks("after_perform", &hooks.after_perform));
            StepParts { name: "perform", step: Step::Performing, parts }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use windlass_core::definition::Tool;
    use windlass_core::job::{Attempt, Class, JobId};
    use windlass_core::run::RunType;
    use windlass_core::time::UnixMs;

    fn spec(phase: Phase) -> JobSpec {
        let hook = |name: &str| vec![name.to_owned()];
        JobSpec {
            id: JobId { run: "r".into(), phase, round: 0, attempt: Attempt::FIRST },
            stack: "app".into(),
            run_type: RunType::Tracked,
            pool: "default".into(),
            class: Class::Blocking,
            repository: "infra".into(),
            commit: "c".into(),
            branch: "main".into(),
            stack_branch: "main".into(),
            space: "root".into(),
            labels: vec![],
            triggered_by: "ann".into(),
            project_root: String::new(),
            tool: Tool::Auto,
            version: None,
            workspace: "prod".into(),
            manage_state: true,
            lock: true,
            env: vec![],
            files: vec![],
            hooks: Hooks {
                before_init: hook("bi"),
                after_init: hook("ai"),
                before_plan: hook("bp"),
                after_plan: hook("ap"),
                before_apply: hook("ba"),
                after_apply: hook("aa"),
                before_perform: hook("bt"),
                after_perform: hook("at"),
                before_destroy: hook("bd"),
                after_destroy: hook("ad"),
                after_run: hook("ar"),
            },
            timeouts: Default::default(),
            inputs: vec![],
            targets: vec![],
            command: Some("echo hi".into()),
            plan: None,
            created_at: UnixMs(0),
        }
    }

    #[test]
    fn each_phase_in_order() {
        let told = |step: &StepParts| {
            let part = |part: &Part| match part {
                Part::Hook { command, .. } => command.clone(),
                Part::Tool { name, .. } => format!("<{name}>"),
            };
            step.parts.iter().map(part).collect::<Vec<_>>().join(" ")
        };
        let init = "bi <init> <workspace select> ai";
        #[rustfmt::skip]
        let table = [
            (Phase::Plan,    Step::Planning,   "bp <plan> <show> ap"),
            (Phase::Apply,   Step::Applying,   "ba <apply> <output> aa"),
            (Phase::Destroy, Step::Destroying, "bd <plan> <show> <apply> ad"),
            (Phase::Task,    Step::Performing, "bt <task> at"),
        ];
        for (phase, step, expect) in table {
            let [first, second] =
                steps(&spec(phase), "terraform", true, |name| format!("/r/{name}"));
            assert_eq!((first.step, told(&first).as_str()), (Step::Initializing, init));
            assert_eq!((second.step, told(&second).as_str()), (step, expect));
        }
        let mut plain = spec(Phase::Apply);
        plain.workspace = "default".into();
        let [first, _] = steps(&plain, "terraform", true, str::to_owned);
        assert_eq!(told(&first), "bi <init> ai");
        assert!(
            matches!(&first.parts[1], Part::Tool { argv, .. } if argv.contains(&"-lockfile=readonly".into()))
        );
    }
}
