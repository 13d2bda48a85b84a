//! What the Parameter Store may answer, and what becomes of it.
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_ssm::SsmSecrets;
use stub::{Answer, Stub, json};
use windlass_ports::{Fault, Secrets};

fn told<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(fault) if fault.is_retryable() => "again",
        Err(_) => "poison",
    }
}

#[tokio::test]
async fn answers() {
    for (answers, heard, requests) in [
        (vec![json(400, "ParameterNotFound")], "done", 1),
        (vec![json(400, "ThrottlingException")], "again", 3),
        (vec![json(400, "AccessDeniedException")], "again", 1),
        (vec![json(400, "InvalidKeyId")], "again", 1),
        (vec![json(400, "ValidationException")], "poison", 1),
        (vec![Answer::Cut], "again", 3),
        (vec![Answer::Silence], "again", 3),
    ] {
        let case = format!("{answers:?}");
        let stub = Stub::answering(answers).await;
        let secrets = SsmSecrets::new(&stub.aws, "/w/");
        assert_eq!(
            (told(secrets.get("a").await), stub.requests().len()),
            (heard, requests),
            "{case}"
        );
        assert_eq!(told(secrets.remove("a").await), heard, "{case}");
    }
}

/// AWS quotes what it finds wrong with a value.
#[tokio::test]
async fn no_value_is_in_a_fault() {
    for status in [400, 500] {
        let quoting =
            r#"{"__type":"ValidationException","message":"Value 'do-not-show-me' failed"}"#;
        let stub = Stub::answering(vec![Answer::Status(status, quoting.to_owned())]).await;
        let secrets = SsmSecrets::new(&stub.aws, "/w/");
        let fault = secrets.set("a", "do-not-show-me").await.unwrap_err();
        let all = format!("{} {fault:?}", fault.chain());
        assert!(!all.contains("do-not-show-me"), "{all}");
        assert!(all.contains("ValidationException") && all.contains("/w/a"), "{all}");
    }
    // A value that comes back in an answer that can't be read.
    let half = r#"{"Parameter":{"Value":"do-not-show-me""#;
    let stub = Stub::answering(vec![Answer::Status(200, half.to_owned())]).await;
    let fault = SsmSecrets::new(&stub.aws, "/w/").get("a").await.unwrap_err();
    let all = format!("{} {fault:?}", fault.chain());
    assert!(fault.is_retryable() && !all.contains("do-not-show-me"), "{all}");
}
