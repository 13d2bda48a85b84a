//! Runs after the stories on the box (cargo takes test targets by name): what the template's roles
//! allow and no story ever needed. That nothing was missing is seen by every story at its end.
use e2e::cloud::{iam, place};

/// What is allowed although a run of the stories may pass without it: role, statement, actions or
/// ends of resources, when it is needed.
#[rustfmt::skip]
const MEANT: [(&str, &str, &[&str], &str); 10] = [
    ("fn-Webhook", "Deliveries", &["s3:GetObject"], "a delivery that was taken before: what lies there is read back"),
    ("fn-Scheduler", "HandBack", &["sqs:ChangeMessageVisibility", "-intents.fifo", "-reports.fifo", "-jobs-control-first"], "a message that fails for now: chance"),
    ("fn-Scheduler", "DeadLetters", &["sqs:ReceiveMessage", "sqs:DeleteMessage", "-intents-dead.fifo", "-reports-dead.fifo", "-jobs-control-first-dead", "-jobs-default-first-dead", "-jobs-default-rest-dead", "-schedules-dead"], "looked for every ten minutes, found after an outage that outlasts 120 receives"),
    ("fn-Scheduler", "Strike", &["/refused"], "a refused delivery that is good after all: for a later version"),
    ("fn-Scheduler", "Messages", &["s3:GetObject", "s3:PutObject", "/messages/*"], "a body of more than a message holds"),
    ("fn-Scheduler", "StateLocks", &["s3:GetObject", "s3:DeleteObject", ".tflock"], "a lock left by a worker whose machine never came back: hours"),
    ("fn-Scheduler", "SecretNames", &["/secrets/*"], "a path is meant with and without its slash"),
    ("fn-Drift", "PlacesAndTickets", &["s3:GetObject"], "a place that another had first: chance"),
    ("fn-Api", "Messages", &["s3:PutObject", "/messages/*"], "a message that was set aside and is too large for one"),
    (iam::WORKER, "Say", &["/late-result", "/gone"], "a worker that was declared lost and is not, one whose tool outlived it: chance"),
];

#[test]
fn nothing_is_allowed_that_no_story_needs() {
    let Some(used) = iam::remembered("aws") else {
        println!("left out: no box has left a record; run `cargo test -p e2e --test aws` first");
        return;
    };
    let roles = iam::roles(&place::product(iam::ANY_STACK).expect("the template is understood"));
    let meant = |(role, sid, what): &(String, String, String)| {
        let ends = |ends: &[&str]| ends.iter().any(|end| what.ends_with(end));
        MEANT.iter().any(|(r, s, known, _)| r == role && s == sid && ends(known))
    };
    let unused = iam::unused(&roles, &used);
    let idle: Vec<_> = unused.iter().filter(|one| !meant(one)).collect();
    assert!(
        idle.is_empty(),
        "infra/template.yaml allows what the last run of the stories did not need (was it a whole \
         run?): {idle:#?}"
    );
    // An exception that has come to an end is none.
    let named = |role: &str, sid: &str| {
        let statements = roles.get(role).map(Vec::as_slice).unwrap_or_default();
        statements.iter().any(|statement| statement["Sid"] == sid)
    };
    for (role, sid, _, when) in MEANT {
        assert!(named(role, sid), "{role} has no statement {sid} any more ({when})");
    }
}
