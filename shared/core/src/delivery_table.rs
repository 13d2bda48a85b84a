//! Who is believed, and what for.
use super::*;

const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const BODY: &[u8] = br#"{"repository":{"full_name":"acme/infra"}}"#;

fn secrets() -> LiveSecrets {
    LiveSecrets::of(["old secret\nnew secret\n", "", "  third "])
}

fn signed(by: &str, body: &[u8]) -> String {
    LiveSecrets::of([by]).sign(body).unwrap()
}

fn headed(signature: &str) -> Headers<'_> {
    Headers {
        content_type: Some("application/json"),
        event: Some("push"),
        delivery: Some(ID),
        signature: Some(signature),
    }
}

fn check(body: &[u8]) -> Result<VerifiedDelivery, Refusal> {
    verify(&headed(&signed("new secret", body)), body, &secrets())
}

/// The example of GitHub's documentation ("Validating webhook deliveries").
#[test]
fn signs_as_github_does() {
    assert_eq!(
        signed("It's a Secret to Everybody", b"Hello, World!"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

#[test]
fn any_live_secret_will_do_and_no_other() {
    for (by, good) in [
        ("old secret", true),
        ("new secret", true),
        ("third", true),
        ("another", false),
        ("old secret\nnew secret", false),
    ] {
        let signature = LiveSecrets(vec![by.to_owned()]).sign(BODY).unwrap();
        let content_type = Some("application/json; charset=utf-8");
        let headers = Headers { content_type, ..headed(&signature) };
        assert_eq!(verify(&headers, BODY, &secrets()).is_ok(), good, "{by}");
        assert_eq!(verify(&headers, BODY, &LiveSecrets::of([""])), Err(Refusal::BadSignature));
    }
    let empty = LiveSecrets(vec![String::new()]).sign(BODY).unwrap();
    let headers = Headers { signature: Some(&empty), ..Headers::default() };
    let nothing = LiveSecrets::of(["", "\n \n"]);
    assert!(nothing.is_empty());
    assert_eq!(verify(&headers, BODY, &nothing), Err(Refusal::BadSignature));
}

#[test]
fn each_refusal_has_its_own_reason() {
    let malformed = |what| Refusal::Malformed { what };
    let long = "a".repeat(65);
    let signature = signed("new secret", BODY);
    let cut = &signature[..signature.len() - 1];
    let sha1 = signature.replace("sha256=", "sha1=");
    let another = signed("new secret", b"{}");
    type Change<'a> = Box<dyn Fn(&mut Headers<'a>) + 'a>;
    let cases: Vec<(Change<'_>, Refusal)> = vec![
        (Box::new(|h| h.signature = None), Refusal::Unsigned),
        (Box::new(|h| h.signature = Some("")), Refusal::Unsigned),
        (Box::new(|h| h.signature = Some(cut)), Refusal::BadSignature),
        (Box::new(|h| h.signature = Some(&sha1)), Refusal::BadSignature),
        (Box::new(|h| h.signature = Some(&another)), Refusal::BadSignature),
        (Box::new(|h| h.signature = Some("sha256=ä")), Refusal::BadSignature),
        (Box::new(|h| h.content_type = None), Refusal::WrongContentType),
        (Box::new(|h| h.content_type = Some("text/plain")), Refusal::WrongContentType),
        (
            Box::new(|h| h.content_type = Some("application/x-www-form-urlencoded")),
            Refusal::FormEncoded,
        ),
        (Box::new(|h| h.event = None), malformed("there is no X-GitHub-Event")),
        (
            Box::new(|h| h.event = Some("Push/..")),
            malformed("X-GitHub-Event is no name of an event"),
        ),
        (Box::new(|h| h.delivery = None), malformed("there is no X-GitHub-Delivery")),
        (Box::new(|h| h.delivery = Some("")), malformed("X-GitHub-Delivery is no GUID")),
        (Box::new(|h| h.delivery = Some("../x")), malformed("X-GitHub-Delivery is no GUID")),
        (Box::new(|h| h.delivery = Some(&long)), malformed("X-GitHub-Delivery is no GUID")),
    ];
    for (change, refusal) in &cases {
        let mut headers = headed(&signature);
        change(&mut headers);
        assert_eq!(verify(&headers, BODY, &secrets()).as_ref(), Err(refusal));
    }
    assert_eq!(check(b"\xff"), Err(malformed("the body is not UTF-8")));
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(check(&large), Err(Refusal::TooLarge));
    assert!(check(&large[1..]).is_ok());
    assert_eq!(VerifiedDelivery::vouched(ID, "push", &large), Err(Refusal::TooLarge));
}

/// Whoever can't sign learns nothing else.
#[test]
fn the_signature_comes_before_everything_that_is_read() {
    let nonsense = Headers { signature: Some("sha256=00"), ..Headers::default() };
    assert_eq!(verify(&nonsense, b"\xff", &secrets()), Err(Refusal::BadSignature));
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?}", secrets()), "3 live secrets");
}

#[test]
fn deliveries_are_sorted_by_event() {
    let named = || "acme/infra".to_owned();
    for (event, body, sorted) in [
        ("ping", BODY, Intake::Ping { repository: Some(named()) }),
        ("ping", b"{}", Intake::Ping { repository: None }),
        ("push", BODY, Intake::Keep { repository: named() }),
        ("pull_request", BODY, Intake::Keep { repository: named() }),
        ("issue_comment", BODY, Intake::Keep { repository: named() }),
        ("star", b"not even json", Intake::Unknown),
        ("push", b"{}", Intake::Malformed { what: "the payload names no repository" }),
        ("push", b"[", Intake::Malformed { what: "the body is no payload of GitHub's" }),
    ] {
        let delivery = VerifiedDelivery::vouched(ID, event, body).unwrap();
        assert_eq!(intake(&delivery), sorted, "{event}");
    }
}

#[test]
fn an_outcome_reads_back() {
    let outcome = DeliveryOutcome {
        delivery: ID.into(),
        repo: "infra".into(),
        event: "push".into(),
        received_at: UnixMs(1),
        at: UnixMs(2),
        became: Became::Routed { event: "e".into(), branch: "main".into(), head: None },
    };
    let text = serde_json::to_string(&outcome).unwrap();
    assert!(text.contains(r#""became":{"as":"routed""#), "{text}");
    assert_eq!(serde_json::from_str::<DeliveryOutcome>(&text).unwrap(), outcome);
}

fn push(before: &str, after: &str, forced: bool) -> github::PushPayload {
    let commits = serde_json::json!([{ "id": after, "modified": ["a/main.tf"] }]);
    let payload = serde_json::json!({
        "ref": "refs/heads/main", "before": before, "after": after, "forced": forced,
        "created": before == "0", "deleted": after == "0", "commits": commits,
    });
    serde_json::from_value(payload).unwrap()
}

#[test]
fn only_a_push_that_follows_on_what_is_known_is_taken_at_its_word() {
    let told = || Word::Told(vec!["a/main.tf".into()]);
    for (what, before, after, forced, known, word) in [
        ("the next push", "1", "2", false, Some("1"), told()),
        ("heard before", "1", "2", false, Some("2"), Word::Known),
        ("out of order", "1", "2", false, Some("0a"), Word::Ask),
        ("never heard of the branch", "1", "2", false, None, Word::Ask),
        ("forced", "1", "2", true, Some("1"), Word::Ask),
        ("a new branch", "0", "2", false, None, Word::Ask),
        ("deleted", "1", "0", false, Some("1"), Word::Ask),
    ] {
        assert_eq!(
            weigh(&push(before, after, forced), known.map(Sha::from).as_ref()),
            word,
            "{what}"
        );
    }
}

#[test]
fn a_forge_that_shows_a_push_s_before_may_lag_behind_it() {
    for (before, after, found, age_ms, lag) in [
        ("1", "2", Some("1"), 0, true),
        ("1", "2", Some("1"), LAG_MS, false),
        ("1", "2", Some("2"), 0, false),
        ("1", "2", None, 0, false),
        ("0", "2", None, 0, true),
        ("1", "0", Some("1"), 0, true),
        ("1", "0", None, 0, false),
    ] {
        let found = found.map(Sha::from);
        assert_eq!(
            lags(&push(before, after, false), found.as_ref(), age_ms),
            lag,
            "{before} {after}"
        );
    }
}
