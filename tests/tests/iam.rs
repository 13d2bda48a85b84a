//! Runs after the stories on the box (cargo takes test targets by name): what the template's roles
//! allow and no story ever needed. That nothing was missing is seen by every story at its end.
use e2e::cloud::{iam, place};

/// What is allowed all the same: role, statement, action or end of the resource, why.
const MEANT: [(&str, &str, &str, &str); 0] = [];

#[test]
fn nothing_is_allowed_that_no_story_needs() {
    let Some(used) = iam::remembered() else {
        println!("left out: no box has left a record; run `cargo test -p e2e --test aws` first");
        return;
    };
    let roles = iam::roles(&place::product(iam::ANY_STACK).expect("the template is understood"));
    let unused = iam::unused(&roles, &used);
    let meant = |(role, sid, what): &(String, String, String)| {
        MEANT.iter().any(|(r, s, w, _)| r == role && s == sid && what.ends_with(w))
    };
    let idle: Vec<_> = unused.iter().filter(|one| !meant(one)).collect();
    assert!(
        idle.is_empty(),
        "infra/template.yaml allows what the last run of the stories did not need (was it a whole \
         run?): {idle:#?}"
    );
    for (role, sid, what, why) in MEANT {
        let still = unused.iter().any(|(r, s, w)| r == role && s == sid && w.ends_with(what));
        assert!(still, "{role} needs {what} of {sid} by now; it is no exception ({why})");
    }
}
