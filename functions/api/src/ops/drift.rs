//! What is known of a stack's drift, for views and in sentences.
use crate::v1::{DriftLookView, DriftView, DriftWaitView};
use windlass_core::drift::{Look, Looked};
use windlass_core::stack::StackHead;

/// None: nobody has looked here, and nobody will.
pub(super) fn view(head: &StackHead) -> Option<DriftView> {
    let (watch, def) = (&head.drift, head.defined.def().and_then(|def| def.drift.as_ref()));
    if def.is_none() && watch.last.is_none() && watch.found.is_none() {
        return None;
    }
    let waiting = watch.turn.as_ref().filter(|turn| turn.place.is_none());
    Some(DriftView {
        schedule: def.map(|def| def.schedule.clone()).unwrap_or_default(),
        timezone: def.map(|def| def.timezone.clone()).unwrap_or_default(),
        reconcile: def.is_some_and(|def| def.reconcile),
        next: watch.next.map(|next| next.rfc3339()),
        waiting: waiting.map(|turn| DriftWaitView {
            since: turn.due.rfc3339(),
            worker_pool: turn.pool.0.clone(),
        }),
        last: watch.last.as_ref().map(look),
        found_by: watch.found.as_ref().map(|found| found.run.0.clone()),
        addresses: watch.found.as_ref().map(|f| f.drifted.addresses.clone()).unwrap_or_default(),
    })
}

fn look(look: &Look) -> DriftLookView {
    let (outcome, note) = match &look.looked {
        Looked::Clean => ("clean", None),
        Looked::Drifted => ("drifted", None),
        Looked::Broken { state } => ("failed", Some(format!("its run is {state}"))),
        Looked::Overtaken => ("overtaken", Some("another run had the stack meanwhile".to_owned())),
        Looked::Skipped { why } => ("skipped", Some(why.to_string())),
    };
    DriftLookView {
        at: look.at.rfc3339(),
        run: look.run.as_ref().map(|run| run.0.clone()),
        outcome: outcome.to_owned(),
        note,
    }
}

/// What there is to say: what differs, what the last look came to, and when the next one is.
pub(super) fn sentences(head: &StackHead) -> Vec<(Option<String>, String)> {
    let Some(view) = view(head) else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(found) = &head.drift.found {
        let text = format!("It has drifted: {}.", found.drifted.sentence());
        lines.push((Some(found.since.rfc3339()), text));
    }
    if let Some(wait) = view.waiting {
        let text = format!(
            "Its look for drift is due and waits for a place in the drift budget of the pool {}.",
            wait.worker_pool
        );
        lines.push((Some(wait.since), text));
    }
    if let Some(last) = view.last {
        let text = match (last.outcome.as_str(), last.note) {
            ("clean", _) => Some("Its last look for drift found none.".to_owned()),
            ("skipped", Some(note)) => {
                Some(format!("Its last look for drift was skipped: {note}."))
            }
            (_, Some(note)) => Some(format!("Its last look for drift says nothing: {note}.")),
            _ => None,
        };
        lines.extend(text.map(|text| (Some(last.at), text)));
    }
    if let Some(next) = view.next {
        lines.push((None, format!("It looks for drift next at {next}.")));
    }
    lines
}
