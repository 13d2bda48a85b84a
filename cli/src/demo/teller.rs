//! Tells the story: sentences that stay, and a tree of stacks that changes below them.
use super::sample::EDGES;
use crate::term::{Node, Screen, Style, Tone, cut, lines};
use api::v1::{RolloutView, RunView};
use std::collections::BTreeMap;
use std::io::Write;
use windlass_core::run::{RunType, StateName};

/// To a person at a terminal, or line by line to whatever reads it.
pub(crate) struct Teller {
    screen: Screen<Box<dyn Write>>,
    style: Style,
    /// What was said of each stack, where nothing changes in place.
    said: BTreeMap<String, String>,
    /// Where each stack stood at the end of the last step.
    before: BTreeMap<String, (String, Tone)>,
    now: BTreeMap<String, (String, Tone)>,
}

impl Teller {
    pub(crate) fn new(out: Box<dyn Write>, columns: Option<usize>) -> Self {
        let style = Style::of(columns.is_some());
        let screen = Screen::new(out, columns);
        let (said, before) = (BTreeMap::new(), BTreeMap::new());
        Self { screen, style, said, before, now: BTreeMap::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.screen.say(line);
    }
    pub(crate) fn quiet(&mut self, line: &str) {
        let line = self.style.paint(Tone::Quiet, line);
        self.screen.say(&line);
    }

    /// A step begins: what happens, and why.
    pub(crate) fn step(&mut self, number: usize, title: &str, what: &str, why: &str) {
        self.said.clear();
        let title = self.style.paint(Tone::Strong, &format!("{number}  {title}"));
        self.screen.say("");
        self.screen.say(&title);
        self.screen.say(&format!("   {what}"));
        self.quiet(&format!("   {why}"));
    }

    /// Something that happened in the middle of a step.
    pub(crate) fn note(&mut self, line: &str) {
        self.screen.say(&format!("   {line}"));
    }

    /// A step ended.
    pub(crate) fn verdict(&mut self, seen: &str, ok: bool) {
        self.screen.keep();
        self.before.append(&mut self.now);
        let (mark, tone) = if ok { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        let mark = self.style.paint(tone, mark);
        self.screen.say(&format!("   {mark} {seen}"));
    }

    /// How the stacks stand: those of this commit, and the others as they were.
    pub(crate) fn stacks(&mut self, rollout: Option<&RolloutView>) {
        let run_of = |stack: &str| {
            let members = rollout.iter().flat_map(|rollout| &rollout.runs);
            members.clone().find(|member| member.stack == stack).map(|member| member.run.as_ref())
        };
        let mut nodes = Vec::with_capacity(EDGES.len());
        for (stack, after) in EDGES {
            let (state, tone, note) = match run_of(stack) {
                Some(Some(run)) => state_of(run),
                Some(None) => ("QUEUED".to_owned(), Tone::Quiet, String::new()),
                None => match self.before.get(*stack) {
                    Some((state, _)) => (state.clone(), Tone::Quiet, "untouched".to_owned()),
                    None => ("—".to_owned(), Tone::Quiet, String::new()),
                },
            };
            let blocking = run_of(stack).flatten().is_some_and(|run| run.kind.blocking());
            if blocking {
                self.now.insert((*stack).to_owned(), (state.clone(), tone));
            }
            let after = after.iter().map(|parent| (*parent).to_owned()).collect();
            nodes.push(Node { name: (*stack).to_owned(), after, state, tone, note });
        }
        if self.screen.in_place() {
            let lines = lines(&nodes, self.style);
            self.screen.show(lines.into_iter().map(|line| format!("   {line}")).collect());
        } else {
            self.say_what_settled(rollout);
        }
    }

    /// Line by line: each stack once it has come to rest, or waits for a person.
    fn say_what_settled(&mut self, rollout: Option<&RolloutView>) {
        let runs = rollout.iter().flat_map(|r| &r.runs).filter_map(|member| member.run.as_ref());
        for run in runs.filter(|run| run.terminal || run.waits_for_person) {
            let (state, _, note) = state_of(run);
            let line = format!("{:9}{state:12}{note}", run.stack);
            let line = cut(line.trim_end(), self.screen.columns().max(100));
            if self.said.insert(run.stack.clone(), line.clone()).as_ref() != Some(&line) {
                self.screen.say(&format!("   {line}"));
            }
        }
    }
}

fn state_of(run: &RunView) -> (String, Tone, String) {
    let mut notes: Vec<String> = Vec::new();
    if run.kind == RunType::Proposed {
        notes.push("preview".to_owned());
    }
    let delta = run.delta.filter(|_| run.state != StateName::Failed);
    notes.extend(delta.map(|delta| delta.to_string()));
    let first_line = |note: &String| windlass_core::run::headline(note).to_owned();
    notes.extend(run.note.as_ref().map(first_line));
    (run.state.to_string(), run.state.into(), notes.join("  "))
}
