//! Stacks that are held in one phase each, so that a kill meets every phase at once.
use e2e::up::{Up, id};
use e2e::{Gate, LONG, World};
use serde_json::Value;

/// Which moment of a run a stack is held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `init` of the plan.
    Init,
    /// `plan`, before the tool has its lock.
    Plan,
    /// A hook after `plan`.
    PlanHook,
    /// `init` of the apply: nothing has changed yet.
    ApplyInit,
    /// A hook before `apply`.
    ApplyHook,
    /// The middle of `apply`: one resource is there, the other is being made.
    Apply,
}

impl Moment {
    /// All of them, in worlds of their own: one `init` at a time uses a plugin cache, so whoever is
    /// held there holds up every other one.
    const SETS: [&[Moment]; 3] = [
        &[Moment::Init],
        &[Moment::ApplyInit],
        &[Moment::Plan, Moment::PlanHook, Moment::ApplyHook, Moment::Apply],
    ];
    pub(crate) fn stack(self) -> &'static str {
        match self {
            Moment::Init => "in-init",
            Moment::Plan => "in-plan",
            Moment::PlanHook => "in-plan-hook",
            Moment::ApplyInit => "in-apply-init",
            Moment::ApplyHook => "in-apply-hook",
            Moment::Apply => "in-apply",
        }
    }
    /// Nothing outside has been changed, so it may be done again.
    pub(crate) fn repeatable(self) -> bool {
        matches!(self, Moment::Init | Moment::Plan | Moment::PlanHook)
    }
    /// Words of the step that the run is in.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Moment::Init => "INITIALIZING",
            Moment::Plan | Moment::PlanHook => "PLANNING",
            Moment::ApplyInit => "PREPARING_APPLY",
            Moment::ApplyHook | Moment::Apply => "APPLYING",
        }
    }
}

/// Tells a story of every moment.
pub(crate) fn at_every_moment(story: impl Fn(Held) + Sync) {
    std::thread::scope(|scope| {
        for moments in Moment::SETS {
            scope.spawn(|| story(Held::new(moments)));
        }
    });
}

/// A world in which each stack stops at its moment.
pub(crate) struct Held {
    pub(crate) world: World,
    pub(crate) sha: String,
    gates: Vec<(Moment, Gate)>,
}

impl Held {
    pub(crate) fn new(moments: &[Moment]) -> Self {
        let world = crate::world("terraform");
        let mut gates = Vec::new();
        let mut stacks = Vec::new();
        for moment in moments {
            let stack = moment.stack();
            let verb = match moment {
                Moment::Init => "init",
                Moment::Plan => "plan",
                Moment::ApplyInit => "init-readonly",
                Moment::PlanHook | Moment::ApplyHook | Moment::Apply => "shell",
            };
            let gate = world.tool.gate(&format!("{stack}.{verb}"));
            let hook = match moment {
                Moment::PlanHook => Some("after_plan"),
                Moment::ApplyHook => Some("before_apply"),
                _ => None,
            };
            let hook = hook.map(|hook| format!("hooks: {{ {hook}: [\"{}\"] }}", gate.shell()));
            stacks.push((stack, format!("autodeploy: true\n{}", hook.unwrap_or_default())));
            match moment {
                Moment::Apply => world.slow_code(stack, "x", &gate),
                _ => world.code(stack, "x"),
            };
            gates.push((*moment, gate));
        }
        let stacks: Vec<(&str, &str)> =
            stacks.iter().map(|(n, keys)| (*n, keys.as_str())).collect();
        let sha = world.define(&stacks).repo.commit("Everything at once");
        Self { world, sha, gates }
    }

    /// Starts a server and waits until every stack is held; the runs.
    #[track_caller]
    pub(crate) fn up(&self) -> (Up, Vec<(Moment, Value)>) {
        let up = self.world.up(u16::try_from(self.gates.len()).expect("a few"));
        for (_, gate) in &self.gates {
            gate.wait_reached(LONG);
        }
        let run = |moment: &Moment| up.reaches(moment.stack(), &self.sha, moment.state());
        let runs = self.gates.iter().map(|(moment, _)| (*moment, run(moment))).collect();
        (up, runs)
    }

    /// Lets everybody go on.
    pub(crate) fn open(&self) {
        for (_, gate) in &self.gates {
            gate.open();
        }
    }

    /// What killing a worker means to its run, and that nobody has to clean up after it: repeated
    /// and finished, or failed with the cause and good at the next try.
    #[track_caller]
    pub(crate) fn recovers(&self, up: &Up, runs: &[(Moment, Value)], cause: &str) {
        for (moment, run) in runs {
            if moment.repeatable() {
                let run = up.becomes(id(run), "FINISHED");
                let plans = run["jobs"].as_array().into_iter().flatten();
                let attempts = plans.filter(|job| job["phase"] == "plan").count();
                assert_eq!(attempts, 2, "{moment:?} is done again: {}", run["jobs"]);
                continue;
            }
            let failed = up.becomes(id(run), "FAILED");
            let note = failed["note"].as_str().unwrap_or_default();
            assert!(note.contains(cause), "{moment:?}: the note tells the cause: {note}");
            let again = up.retry(id(run));
            up.becomes(&again, "FINISHED");
        }
    }
}
