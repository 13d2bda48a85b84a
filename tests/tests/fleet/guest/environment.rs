//! The API key, and what the environment says.
use super::site::{Authority, GUEST, Key, Release, Settings, Site};
use e2e::fleet::functions::scheduled;
use std::time::{Duration, SystemTime};

#[test]
fn the_key_may_lie_in_secrets_manager_and_the_authority_in_the_environment() {
    for (release, authority, secrets) in [
        (Release::Before8, Authority::Variable, 1),
        (Release::Before8, Authority::Secret, 2),
        (Release::From8, Authority::Secret, 2),
    ] {
        let settings = Settings { release, key: Key::Secret, authority, ..Settings::default() };
        let site = Site::new(settings);
        site.crew.queue(1);
        site.tick();
        assert_eq!(site.group.desired(), 1, "{release:?} {authority:?}");
        let read = site.calls().into_iter().filter(|call| call.service == "secretsmanager");
        let read: Vec<String> = read.map(|call| call.action).collect();
        assert_eq!(read, vec!["GetSecretValue"; secrets], "{release:?} {authority:?}");
    }
}

/// Workers, and that module's other function, have variables that are none of ours.
#[test]
fn what_is_not_known_stops_nothing() {
    let site = Site::new(Settings { release: Release::From8, ..Settings::default() });
    for (name, value) in [
        ("SPACELIFT_WORKER_COMMS_PROTOCOL", "poll"),
        ("SPACELIFT_TOKEN_SECRET_ARN", "arn:aws:secretsmanager:us-east-1:1:secret:token-x"),
        ("LIFECYCLE_HOOK_TIMEOUT", "300"),
    ] {
        site.functions.lambda.set_variable(GUEST, name, Some(value));
    }
    site.crew.queue(1);
    site.tick();
    assert_eq!(site.group.desired(), 1);
}

/// That module takes a parameter of one's own (`byo_ssm`), whose name need not be a path.
#[test]
fn the_key_may_be_a_parameter_with_a_plain_name() {
    let site = Site::new(Settings { key: Key::PlainParameter, ..Settings::default() });
    site.crew.queue(1);
    site.tick();
    assert_eq!(site.group.desired(), 1);
}

/// Whatever level the log has, and whatever goes wrong: what is secret is not in it (the proofs of
/// every site look for the secrets, and for every token).
#[test]
fn the_key_is_rotated_and_never_told() {
    for key in [Key::Parameter, Key::Secret] {
        let mut site = Site::new(Settings { key, ..Settings::default() });
        site.functions.lambda.set_variable(GUEST, "WINDLASS_LOG", Some("trace"));
        site.crew.queue(1);
        site.tick();
        assert_eq!(site.group.desired(), 1, "{key:?}");
        // Another secret, and no token of the old one's is taken any more.
        site.rotate("rotated-secret-of-the-key-0123456789");
        site.server().revoke_tokens();
        site.crew.queue(1);
        site.tick();
        assert_eq!(site.group.desired(), 2, "{key:?}");
        // A server that repeats what it was sent, and one that takes the key no more.
        site.server().revoke_tokens();
        site.server().fail(
            "apiKeyUser",
            2,
            spacelift_server::Failure::Error("bad secret rotated-secret-of-the-key-0123456789"),
        );
        site.try_tick().expect_err("there is no token");
        site.server().heal();
        site.server().set_key_secret("somebody-else-s");
        let why = site.try_tick().expect_err("the key is refused").to_string();
        assert!(why.contains("does not accept the API key"), "{why}");
        assert!(!why.contains("rotated-secret"), "{why}");
    }
}

#[test]
fn a_server_from_before_available_at_is_asked_as_it_understands() {
    let site = Site::with_machines(1, Settings { legacy: true, ..Settings::default() });
    site.tick();
    assert_eq!(site.group.gone().len(), 1);
    // It was asked wrongly once, to find out.
    assert_eq!(site.server().take_mistakes().len(), 1);
}

#[test]
fn what_is_missing_or_wrong_is_told_in_one_message_before_anything_is_asked() {
    let site = Site::new(Settings::default());
    let lambda = &site.functions.lambda;
    lambda.set_variable(GUEST, "SPACELIFT_API_KEY_ID", None);
    lambda.set_variable(GUEST, "AUTOSCALING_MAX_CREATE", Some("many"));
    lambda.set_variable(GUEST, "SPACELIFT_API_KEY_ENDPOINT", Some("http://you.example"));
    site.try_tick().expect_err("it can't start");
    let said = site.functions.said();
    for part in ["SPACELIFT_API_KEY_ID is not set", "AUTOSCALING_MAX_CREATE is not", "https://"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(site.asked(), Vec::<String>::new());
}

/// The secret itself, where its name belongs: it is told, and not shown.
#[test]
fn a_secret_is_no_name() {
    let mut site = Site::new(Settings::default());
    let secret = "0123456789abcdef".repeat(4);
    site.functions.lambda.set_variable(GUEST, "SPACELIFT_API_KEY_SECRET_NAME", Some(&secret));
    let why = site.try_tick().expect_err("it can't start").to_string();
    let said = site.functions.said();
    assert!(said.contains("SPACELIFT_API_KEY_SECRET_NAME names neither"), "{said}");
    assert!(!why.contains(&secret), "{why}");
    assert_eq!(site.asked(), Vec::<String>::new());
    site.rotate(&secret);
}

/// That module's is 30 s, and may be set.
#[test]
fn a_short_time_limit_is_no_reason_to_begin_nothing() {
    let site = Site::new(Settings { timeout: Duration::from_secs(9), ..Settings::default() });
    site.crew.queue(1);
    site.tick();
    assert_eq!(site.group.desired(), 1);
}

/// A tick that nobody needs any more.
#[test]
fn a_tick_that_comes_late_does_nothing() {
    let site = Site::new(Settings::default());
    site.crew.queue(1);
    let due = SystemTime::now() - Duration::from_secs(300);
    let answer = site.functions.invoke(GUEST, &scheduled(due));
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!((site.group.desired(), site.asked()), (0, vec![]));
}
