//! What nothing costs.
use crate::{root, template};
use infra::bill::{idle, table, total};

#[test]
fn an_idle_month_costs_a_dollar_at_most_and_the_docs_say_so() {
    let template = template();
    let of_type = |kind: &str| template.of_type(kind).unwrap();
    let (low, high) = (idle(&of_type, true), idle(&of_type, false));
    assert!(total(&low) <= 1.0, "{}", total(&low));
    let path = root().join("docs/aws.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- idle bill: begin -->\n", "<!-- idle bill: end -->");
    let (before, rest) = docs.split_once(begin).expect("docs/aws.md has a place for the bill");
    let (known, after) = rest.split_once(end).expect("the place ends");
    let new = table(&low, &high);
    if std::env::var_os("REGEN").is_some() {
        std::fs::write(&path, format!("{before}{begin}{new}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(known, new, "REGEN=1 writes it anew");
}
