//! Which stacks somebody may know of, for answers that mention several.
use super::App;
use crate::auth::Who;
use std::collections::BTreeSet;
use windlass_core::id::StackId;
use windlass_core::run::{FailReason, NewRun, Run, SkipReason, State};
use windlass_ports::Fault;

/// What stands where a sentence named a stack that is hidden.
const ELSEWHERE: &str = "a stack of another space";

pub(crate) enum Sight {
    Everything,
    /// A stack without a summary is not among them: what is not known to be theirs is hidden.
    Only(BTreeSet<StackId>),
}

impl Sight {
    pub(crate) async fn of(app: &App, who: &Who) -> Result<Self, Fault> {
        if who.sees_everything() {
            return Ok(Self::Everything);
        }
        let rows = app.summaries.all(app, who).await?;
        Ok(Self::Only(rows.iter().map(|row| row.summary.stack.clone()).collect()))
    }

    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    pub(crate) fn sees(&self, stack: &StackId) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(stacks) => stacks.contains(stack),
        }
    }

    /// The run without what it says of hidden stacks: edges to them go, and their names in
    /// sentences. Everything that is shown of a run is made from what this leaves.
    pub(crate) fn blur(&self, mut run: Run) -> Run {
        let mut named = of_new(&run.new);
        named.extend(run.inputs.iter().map(|input| &input.from).cloned());
        named.extend(of_state(&run.state));
        let hidden = self.hidden(named);
        if hidden.is_empty() {
            return run;
        }
        strip(&mut run.new, &hidden);
        run.inputs.retain(|input| !hidden.contains(&input.from));
        for line in &mut run.history {
            line.note = line.note.take().map(|note| blurred(&note, &hidden));
            line.by = line.by.take().map(|by| blurred(&by, &hidden));
        }
        match &mut run.state {
            State::Skipped { why } => rename(why, &hidden),
            State::Failed { reason: FailReason::InputsMissing { inputs } } => {
                inputs.iter_mut().for_each(|input| *input = blurred(input, &hidden));
            }
            _ => {}
        }
        run
    }

    /// The same of a run as it was planned.
    pub(crate) fn blur_new(&self, new: &mut NewRun) {
        let hidden = self.hidden(of_new(new));
        if !hidden.is_empty() {
            strip(new, &hidden);
        }
    }

    fn hidden(&self, named: BTreeSet<StackId>) -> BTreeSet<StackId> {
        named.into_iter().filter(|stack| !self.sees(stack)).collect()
    }
}

/// Stacks that a run as it was planned names.
fn of_new(new: &NewRun) -> BTreeSet<StackId> {
    let waits = new.waits.values().map(|wait| &wait.stack);
    waits.chain(new.children.iter().map(|child| &child.stack)).cloned().collect()
}

/// Stacks that a state names. A run that was triggered by itself has no edge to them.
fn of_state(state: &State) -> Vec<StackId> {
    match state {
        State::Skipped {
            why:
                SkipReason::ParentFailed { parents }
                | SkipReason::OutputsUnchanged { parents }
                | SkipReason::ParentNever { parents },
        } => parents.clone(),
        // `network.vpc_id => TF_VAR_vpc_id`.
        State::Failed { reason: FailReason::InputsMissing { inputs } } => {
            inputs.iter().filter_map(|input| Some(input.split_once('.')?.0.into())).collect()
        }
        _ => Vec::new(),
    }
}

fn strip(new: &mut NewRun, hidden: &BTreeSet<StackId>) {
    new.waits.retain(|_, wait| !hidden.contains(&wait.stack));
    new.children.retain(|child| !hidden.contains(&child.stack));
    new.because = blurred(&new.because, hidden);
    // A parent that released it stands where else a person does.
    new.triggered_by = new.triggered_by.take().map(|by| blurred(&by, hidden));
}

fn rename(why: &mut SkipReason, hidden: &BTreeSet<StackId>) {
    let (SkipReason::ParentFailed { parents }
    | SkipReason::OutputsUnchanged { parents }
    | SkipReason::ParentNever { parents }) = why;
    for parent in parents.iter_mut().filter(|parent| hidden.contains(parent)) {
        *parent = ELSEWHERE.into();
    }
}

/// Names of hidden stacks as whole words.
fn blurred(text: &str, hidden: &BTreeSet<StackId>) -> String {
    let in_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !in_slug(c)).unwrap_or(rest.len());
        let (slug, tail) = rest.split_at(word);
        match hidden.contains(&StackId::from(slug)) {
            true => out.push_str(ELSEWHERE),
            false => out.push_str(slug),
        }
        let between = tail.find(in_slug).unwrap_or(tail.len());
        out.push_str(&tail[..between]);
        rest = &tail[between..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hidden_stacks_do_not_stay_in_sentences() {
        let hidden = BTreeSet::from(["net".into(), "db-1".into()]);
        #[rustfmt::skip]
        let table = [
            ("it depends on net",         "it depends on a stack of another space"),
            ("net, db-1 did not end well","a stack of another space, a stack of another space did not end well"),
            ("the net-2 and my-net stay", "the net-2 and my-net stay"),
            ("nothing – ü",               "nothing – ü"),
            ("",                          ""),
        ];
        for (text, expect) in table {
            assert_eq!(blurred(text, &hidden), expect, "{text}");
        }
    }
}
