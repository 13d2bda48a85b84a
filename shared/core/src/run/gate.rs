//! What follows a plan that ended well.
use super::RunType;
use super::state::Planned;
use crate::verdict::Verdict;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing more to do: a preview, or nothing changes.
    Finish,
    /// Apply it, by a job of its own (rule B9).
    Apply,
    /// A person confirms.
    Confirm,
    /// A person reviews a preview.
    Review,
    /// A policy denies it.
    Deny { messages: Vec<String> },
}

/// Rows 8–13 of Spacelift's transition table. `changes` covers resources and outputs.
/// Autodeploy needs no warning from any policy and a stack that no person locked.
#[must_use]
pub fn gate(
    kind: RunType,
    planned: &Planned,
    changes: bool,
    force_apply: bool,
    autodeploy: bool,
    locked: bool,
    verdict: &Verdict,
) -> Gate {
    if !verdict.deny.is_empty() {
        return Gate::Deny { messages: verdict.deny.clone() };
    }
    let warned = !verdict.warn.is_empty() || !planned.warnings.is_empty();
    if kind == RunType::Proposed {
        return if warned && verdict.needs_approval { Gate::Review } else { Gate::Finish };
    }
    match (changes || force_apply, autodeploy && !warned && !locked) {
        (false, _) => Gate::Finish,
        (true, true) => Gate::Apply,
        (true, false) => Gate::Confirm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::job::{Delta, PlanRef};

    #[test]
    fn what_follows_a_plan() {
        let plan = PlanRef { key: "k".into(), digest: Digest::of(b"") };
        let planned = Planned { plan, round: 0, delta: Delta::default(), warnings: vec![] };
        let warn = Verdict { warn: vec!["w".into()], ..Verdict::none() };
        let ask = Verdict { needs_approval: true, ..warn.clone() };
        let deny = Verdict { deny: vec!["d".into()], ..Verdict::none() };
        let none = Verdict::none();
        let denied = Gate::Deny { messages: vec!["d".into()] };
        use RunType::{Proposed, Tracked};
        #[rustfmt::skip]
        let table = [
            // name                              kind      changes force  auto   locked verdict  expect
            ("a preview just ends",              Proposed, true,   false, true,  false, &none,   Gate::Finish),
            ("a warned preview without approval",Proposed, true,   false, false, false, &warn,   Gate::Finish),
            ("a warned preview with approval",   Proposed, true,   false, false, false, &ask,    Gate::Review),
            ("nothing changes",                  Tracked,  false,  false, true,  false, &none,   Gate::Finish),
            ("nothing changes, but forced",      Tracked,  false,  true,  true,  false, &none,   Gate::Apply),
            ("autodeploy",                       Tracked,  true,   false, true,  false, &none,   Gate::Apply),
            ("no autodeploy",                    Tracked,  true,   false, false, false, &none,   Gate::Confirm),
            ("a lock suspends autodeploy",       Tracked,  true,   false, true,  true,  &none,   Gate::Confirm),
            ("a warning suspends autodeploy",    Tracked,  true,   false, true,  false, &warn,   Gate::Confirm),
            ("a denial wins over all",           Tracked,  false,  true,  true,  false, &deny,   denied),
        ];
        for (name, kind, changes, force, auto, locked, verdict, expect) in table {
            let got = gate(kind, &planned, changes, force, auto, locked, verdict);
            assert_eq!(got, expect, "{name}");
        }
    }
}
