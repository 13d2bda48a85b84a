//! What is read of Secrets Manager, over HTTP and through the SDK. The port's suite is not for an
//! adapter that only reads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[path = "../../aws/tests/stub/mod.rs"]
mod stub;

use adapter_aws::Aws;
use adapter_secretsmanager::ManagerSecrets;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use emulator::Emulator;
use stub::{Answer, Stub, json};
use windlass_ports::{Fault, Secrets};

fn aws(server: &Emulator) -> Aws {
    let vars = server.env("manager").into_iter().map(|(name, value)| (name.to_owned(), value));
    Aws::from_vars(&vars.collect()).unwrap()
}

#[tokio::test]
async fn reads_by_name_and_by_arn() {
    let server = Emulator::shared();
    let aws = aws(&server);
    let client = Client::new(&aws.config_for("SECRETS_MANAGER"));
    let secrets = ManagerSecrets::new(&aws);
    assert_eq!(secrets.get("github/token").await.unwrap(), None);
    let text = "-----BEGIN KEY-----\npässwörd ☃ $`\"'\\\n\n";
    let made = client.create_secret().name("github/token").secret_string(text);
    let arn = made.send().await.unwrap().arn.unwrap();
    for name in ["github/token", &arn] {
        assert_eq!(secrets.get(name).await.unwrap().as_deref(), Some(text), "{name}");
    }
    client.put_secret_value().secret_id(&arn).secret_string("rotated").send().await.unwrap();
    assert_eq!(secrets.get(&arn).await.unwrap().as_deref(), Some(text));
    assert_eq!(secrets.fresh(&arn).await.unwrap().as_deref(), Some("rotated"));
    assert_eq!(secrets.get(&arn).await.unwrap().as_deref(), Some("rotated"));
    let bytes = client.create_secret().name("bytes").secret_binary(Blob::new([255]));
    bytes.send().await.unwrap();
    assert!(secrets.get("bytes").await.unwrap_err().chain().contains("not as text"));
}

#[tokio::test]
async fn writes_nothing() {
    let stub = Stub::answering(vec![Answer::Cut]).await;
    let secrets = ManagerSecrets::new(&stub.aws);
    for refused in [
        secrets.set("a", "some-value").await.unwrap_err(),
        secrets.remove("a").await.unwrap_err(),
        secrets.names().await.unwrap_err(),
    ] {
        assert!(!refused.is_retryable());
    }
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn answers() {
    for (answers, heard, requests) in [
        (vec![json(400, "ResourceNotFoundException")], "done", 1),
        (vec![json(400, "ThrottlingException")], "again", 3),
        (vec![json(400, "AccessDeniedException")], "again", 1),
        // It is about to be deleted, or its key is disabled: either can be undone.
        (vec![json(400, "InvalidRequestException")], "again", 1),
        (vec![json(400, "DecryptionFailure")], "again", 1),
        (vec![Answer::Silence], "again", 3),
    ] {
        let case = format!("{answers:?}");
        let stub = Stub::answering(answers).await;
        let told = match ManagerSecrets::new(&stub.aws).get("a").await {
            Ok(_) => "done",
            Err(Fault::Retryable { .. }) => "again",
            Err(Fault::Poison { .. }) => "poison",
        };
        assert_eq!((told, stub.requests().len()), (heard, requests), "{case}");
    }
}
